from django.db import migrations

# The database completes the rows. The previous release does not know the new columns, and it still
# writes sales until it has drained, and again after a rollback.
COMPLETE_SALES = """
CREATE FUNCTION complete_sale() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.number = 0 THEN
        INSERT INTO sales_receiptcounter AS counter (tenant_id, last) VALUES (NEW.tenant_id, 1)
            ON CONFLICT (tenant_id) DO UPDATE SET last = counter.last + 1
            RETURNING last INTO NEW.number;
        SELECT currency, company_name, address, time_zone
            INTO NEW.currency, NEW.shop_name, NEW.shop_address, NEW.shop_time_zone
            FROM core_tenant WHERE id = NEW.tenant_id;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER complete_sale BEFORE INSERT ON sales_sale
    FOR EACH ROW EXECUTE FUNCTION complete_sale();

-- Nobody sells between the trigger and this, which leaves room for the sales there are.
INSERT INTO sales_receiptcounter (tenant_id, last)
    SELECT tenant_id, count(*) FROM sales_sale GROUP BY tenant_id;
"""
COMPLETE_LINES = """
CREATE FUNCTION complete_sale_line() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.sku = '' THEN
        SELECT sku, name INTO NEW.sku, NEW.name FROM inventory_item WHERE id = NEW.item_id;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER complete_sale_line BEFORE INSERT ON sales_saleline
    FOR EACH ROW EXECUTE FUNCTION complete_sale_line();
"""


class Migration(migrations.Migration):
    dependencies = [("sales", "0002_numbers_names_receipts_voids_keys")]

    operations = [
        migrations.RunSQL(
            COMPLETE_SALES,
            "DROP TRIGGER complete_sale ON sales_sale; DROP FUNCTION complete_sale;"
            " DELETE FROM sales_receiptcounter",
        ),
        migrations.RunSQL(
            COMPLETE_LINES,
            "DROP TRIGGER complete_sale_line ON sales_saleline; DROP FUNCTION complete_sale_line",
        ),
    ]
