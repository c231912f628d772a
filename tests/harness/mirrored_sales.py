"""Sales as the mirror keeps them in MongoDB, written by hand: documents and rollups in one transaction.

    made sales -> MirroredSales.insert -> sales, sales_rollup_minute, sales_rollup_day
               -> MirroredSales.connection (DuckDB) -> what every figure must be

Owns the shape that the dashboard relies on, so that its tests can say which sale is made when. Rollups are
partial sums: every insert takes one of several documents of a bucket and group.
"""

from __future__ import annotations

import datetime
import itertools
import random
import uuid
from collections import defaultdict
from decimal import Decimal

import duckdb
import pymongo
import pymongo.database
from bson import Decimal128

UTC = datetime.timezone.utc
REGIONS = (
    "Auvergne-Rhône-Alpes", "Bourgogne-Franche-Comté", "Bretagne", "Centre-Val de Loire", "Corse", "Grand Est",
    "Hauts-de-France", "Île-de-France", "Normandie", "Nouvelle-Aquitaine", "Occitanie", "Pays de la Loire",
    "Provence-Alpes-Côte d'Azur",
)  # fmt: skip
PRODUCTS = {
    "Baguette": ("Boulangerie", 120), "Croissant au beurre": ("Boulangerie", 110), "Kouign-amann": ("Boulangerie", 590),
    "Comté 12 mois": ("Crémerie", 449), "Camembert au lait cru": ("Crémerie", 325), "Crème fraîche": ("Crémerie", 165),
    "Café moulu": ("Épicerie", 379), "Huile d'olive": ("Épicerie", 849), "Moutarde de Dijon": ("Épicerie", 185),
    "Savon de Marseille": ("Hygiène", 349), "Eau de toilette « Été »": ("Hygiène", 3490),
    "Cocotte en fonte 24 cm": ("Maison", 12900), "Lampe de chevet": ("Maison", 2990),
    "Marinière rayée": ("Textile", 2990), "Eau minérale": ("Boissons", 79), "Cidre brut 75 cl": ("Boissons", 345),
}  # fmt: skip
_WEIGHTS = (8.2, 2.8, 3.4, 2.6, 0.4, 5.6, 6.0, 12.4, 3.3, 6.1, 6.1, 3.9, 5.2)


class MadeSales:
    """Draws sales; the same seed gives the same ones."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        # Of their own, so that sales are the same whoever buys.
        self.cards = random.Random(seed)
        self.offsets = itertools.count()

    def sale(self, sold_at: datetime.datetime, region: str | None = None, product: str | None = None) -> dict:
        """A sale at a moment; what is not said is drawn."""
        product = product or self.random.choice(list(PRODUCTS))
        category, cents = PRODUCTS[product]
        quantity = self.random.choice((1, 1, 1, 2, 2, 3, 6))
        price = Decimal(cents + self.random.randrange(0, 20)) / 100
        return {
            "_id": {"partition": 0, "offset": next(self.offsets)},
            "sale_id": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            # MongoDB's Date has milliseconds.
            "sold_at": sold_at.replace(microsecond=sold_at.microsecond // 1000 * 1000),
            "region": region or self.random.choices(REGIONS, _WEIGHTS)[0],
            "store_id": f"S{self.random.randrange(400):04}",
            "product_name": product,
            "category": category,
            "quantity": quantity,
            "unit_price": Decimal128(price),
            "amount": Decimal128(price * quantity),
            "channel": self.random.choice(("store", "web", "app")),
            # Who has a card; some buy more often than others.
            "customer_id": f"C{int(self.cards.random() ** 2 * 6_000):06}" if self.cards.random() < 0.6 else None,
        }

    def sales(self, count: int, begin: datetime.datetime, end: datetime.datetime) -> list[dict]:
        """Sales spread over a stretch of time, in order."""
        width = (end - begin).total_seconds()
        moments = sorted(self.random.random() * width for _ in range(count))
        return [self.sale(begin + datetime.timedelta(seconds=moment)) for moment in moments]


class MirroredSales(MadeSales):
    """A database as `lake-writer mirror` fills it, and the same sales in DuckDB."""

    def __init__(self, database: pymongo.database.Database, seed: int = 1) -> None:
        super().__init__(seed)
        self.database = database
        # Transactions make no collections on old servers, and the page asks by these.
        database.sales.create_index([("sold_at", -1)])
        database.sales.create_index([("product_name", 1)])
        database.sales_rollup_minute.create_index([("bucket", 1)])
        database.create_collection("sales_rollup_day")
        self.connection = duckdb.connect()
        self.connection.sql("SET TimeZone = 'UTC'")
        self.connection.sql(
            "CREATE TABLE sales (sale_id VARCHAR, sold_at TIMESTAMPTZ, region VARCHAR, product_name VARCHAR,"
            " category VARCHAR, quantity INT, amount DECIMAL(18, 2), customer_id VARCHAR)"
        )

    def insert(self, sales: list[dict], batch: int = 2_000) -> None:
        """Inserts sales and what they add to rollups, a transaction a batch; returns when all is committed."""
        for at in range(0, len(sales), batch):
            part = sales[at : at + batch]
            with self.database.client.start_session() as session:
                session.with_transaction(lambda session, part=part: self._transaction(part, session))
            self.record(part)

    def record(self, sales: list[dict]) -> None:
        """Gives DuckDB the same sales."""
        columns = ("sale_id", "sold_at", "region", "product_name", "category", "quantity")
        rows = [
            [*(sale[column] for column in columns), sale["amount"].to_decimal(), sale["customer_id"]] for sale in sales
        ]
        names = [*columns, "amount", "customer_id"]
        table = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        import pyarrow  # noqa: PLC0415 (only here)

        arrow = pyarrow.table(table)  # noqa: F841 (DuckDB reads it by its name)
        self.connection.sql("INSERT INTO sales SELECT * FROM arrow")

    def query(self, sql: str) -> list[tuple]:
        """Asks DuckDB."""
        return self.connection.sql(sql).fetchall()

    def _transaction(self, sales: list[dict], session: pymongo.client_session.ClientSession) -> None:
        self.database.sales.insert_many(sales, session=session)
        partial = self.random.randrange(3)
        widths = {"sales_rollup_minute": {"second": 0}, "sales_rollup_day": {"second": 0, "minute": 0, "hour": 0}}
        for name, whole in widths.items():
            sums: dict[tuple, list] = defaultdict(lambda: [0, Decimal(0), 0])
            for sale in sales:
                bucket = sale["sold_at"].astimezone(UTC).replace(microsecond=0, **whole)
                group = sums[bucket, sale["region"], sale["product_name"]]
                group[0] += 1
                group[1] += sale["amount"].to_decimal()
                group[2] += sale["quantity"]
            self.database[name].bulk_write(
                [
                    pymongo.UpdateOne(
                        {"_id": f"{bucket.isoformat()}/{region}/{product}/{partial}"},
                        {
                            "$inc": {"count": count, "amount": Decimal128(amount), "quantity": quantity},
                            "$setOnInsert": {"bucket": bucket, "region": region, "product_name": product},
                        },
                        upsert=True,
                    )
                    for (bucket, region, product), (count, amount, quantity) in sums.items()
                ],
                ordered=False,
                session=session,
            )
