from django.db import migrations

ROWS = 10_000  # in one transaction: rows that are being written wait for no more

# Every sale that is older than the trigger has a smaller id than every sale that is not. So a
# second run, after one that was broken off, gives the others the same numbers.
NUMBERS = """
CREATE TEMPORARY TABLE numbers AS
SELECT id, number FROM (
    SELECT id, number AS present,
        row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS number
    FROM sales_sale
) AS sale
WHERE present = 0;
CREATE INDEX ON numbers (id);
ANALYZE numbers
"""
SALES = """
UPDATE sales_sale AS sale
SET number = numbers.number, currency = tenant.currency, shop_name = tenant.company_name,
    shop_address = tenant.address, shop_time_zone = tenant.time_zone
FROM numbers, core_tenant AS tenant
WHERE numbers.id BETWEEN %s AND %s AND sale.id = numbers.id AND tenant.id = sale.tenant_id
"""
LINES = """
UPDATE sales_saleline AS line SET sku = item.sku, name = item.name
FROM inventory_item AS item
WHERE line.id BETWEEN %s AND %s AND line.sku = '' AND item.id = line.item_id
"""


def fill(apps, schema_editor):
    """Complete the rows that no trigger completed, a few at a time."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(NUMBERS)
        for update, table in ((SALES, "numbers"), (LINES, "sales_saleline")):
            cursor.execute(f"SELECT min(id), max(id) FROM {table}")  # noqa: S608 - of this list
            first, last = cursor.fetchone()
            while first is not None and first <= last:
                cursor.execute(update, [first, first + ROWS - 1])
                first += ROWS
        cursor.execute("DROP TABLE numbers")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("sales", "0003_number_and_name_new_sales")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
