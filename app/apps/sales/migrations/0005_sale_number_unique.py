from django.db import migrations, models

# The index is made while the shops sell, and then becomes the constraint.
MAKE_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS sale_number_unique_in_tenant",  # of a run that was broken off
    "CREATE UNIQUE INDEX CONCURRENTLY sale_number_unique_in_tenant"
    " ON sales_sale (tenant_id, number)",
]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("sales", "0004_number_and_name_old_sales")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [
                *(migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in MAKE_INDEX),
                migrations.RunSQL(
                    "ALTER TABLE sales_sale ADD CONSTRAINT sale_number_unique_in_tenant"
                    " UNIQUE USING INDEX sale_number_unique_in_tenant",
                    "ALTER TABLE sales_sale DROP CONSTRAINT sale_number_unique_in_tenant",
                ),
            ],
            [
                migrations.AddConstraint(
                    "sale",
                    models.UniqueConstraint(
                        name="sale_number_unique_in_tenant", fields=["tenant", "number"]
                    ),
                )
            ],
        )
    ]
