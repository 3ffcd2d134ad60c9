from django.db import migrations, models

# What Django makes of the constraint, but while the shops sell.
MAKE_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS sale_number_unique_in_tenant",  # of a run that was broken off
    "CREATE UNIQUE INDEX CONCURRENTLY sale_number_unique_in_tenant"
    " ON sales_sale (tenant_id, number) WHERE number > 0",
]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("sales", "0004_number_and_name_old_sales")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(sql, MAKE_INDEX[0]) for sql in MAKE_INDEX],
            [
                migrations.AddConstraint(
                    "sale",
                    models.UniqueConstraint(
                        name="sale_number_unique_in_tenant",
                        fields=["tenant", "number"],
                        condition=models.Q(number__gt=0),
                    ),
                )
            ],
        )
    ]
