//! What the company sells: products with the prices that belong to them.
//!
//! assortment ──► variants ──► Catalogue (product, price, popularity)
//!
//! Owns names, categories, prices and popularity. Popularity follows Zipf's law: the product of
//! rank r sells in proportion to 1 / (r + 2). Everyday goods tend to have the better ranks.

use super::assortment::{ASSORTMENT, Shelf};
use crate::chance::{Chance, Purpose, Weighted};

/// Something on sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Such as P00017.
    pub id: String,
    /// As on the receipt, in French.
    pub name: String,
    /// Its shelf.
    pub category: &'static str,
    /// Price of one piece in cents. Every sale of the product is at this price.
    pub price_cents: i64,
}

/// All products, and how often each is bought.
#[derive(Debug)]
pub struct Catalogue {
    products: Vec<Product>,
    popularity: Weighted,
}

impl Catalogue {
    /// The company's products: always the same.
    pub fn new() -> Self {
        let mut products = Vec::new();
        let mut order = Vec::new();
        let mut chance = Chance::new(0, Purpose::Company);
        for shelf in ASSORTMENT {
            for variant in 0..shelf.variants.len() {
                for item in 0..shelf.items.len() {
                    let product = make(shelf, item, variant, products.len());
                    // The least key has the best rank; a frequent shelf divides its keys.
                    order.push((chance.unit() / shelf.frequency, products.len()));
                    products.push(product);
                }
            }
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut weights = vec![0.0; products.len()];
        for (rank, (_, product)) in order.iter().enumerate() {
            weights[*product] = 1.0 / (rank as f64 + 2.0);
        }
        Self {
            products,
            popularity: Weighted::new(&weights),
        }
    }

    /// All of them, by identifier.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// What somebody puts into the basket.
    #[inline]
    pub fn choose(&self, chance: &mut Chance) -> usize {
        self.popularity.choose(chance)
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new()
    }
}

fn make(shelf: &Shelf, item: usize, variant: usize, index: usize) -> Product {
    let (name, cents) = shelf.items[item];
    let (suffix, percent) = shelf.variants[variant];
    let separator = if suffix.is_empty() { "" } else { " " };
    // Prices end in 5 or 0 above five euros, as on a price tag.
    let price = cents * percent / 100;
    let price_cents = if price > 500 { price / 5 * 5 } else { price };
    Product {
        id: format!("P{:05}", index + 1),
        name: format!("{name}{separator}{suffix}"),
        category: shelf.category,
        price_cents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_identifiers_are_distinct_and_prices_sensible() {
        let catalogue = Catalogue::new();
        let products = catalogue.products();
        assert!(products.len() > 400, "{}", products.len());
        let names: HashSet<&str> = products.iter().map(|p| p.name.as_str()).collect();
        let ids: HashSet<&str> = products.iter().map(|p| p.id.as_str()).collect();
        assert_eq!((names.len(), ids.len()), (products.len(), products.len()));
        for product in products {
            assert!((50..=200_000).contains(&product.price_cents), "{product:?}");
            assert_eq!(product.name.trim(), product.name);
        }
    }

    #[test]
    fn a_few_products_make_most_of_the_sales() {
        // GIVEN 100,000 purchases. THEN the best tenth of the products has 50 to 80 % of them, and
        // yet nearly every product is sold: the shape of Zipf's law.
        let catalogue = Catalogue::new();
        let mut chance = Chance::new(5, Purpose::Sales);
        let mut sold = vec![0_u32; catalogue.products().len()];
        for _ in 0..100_000 {
            sold[catalogue.choose(&mut chance)] += 1;
        }
        sold.sort_unstable_by(|a, b| b.cmp(a));
        let best: u32 = sold[..sold.len() / 10].iter().sum();
        assert!((50_000..80_000).contains(&best), "{best}");
        assert!(sold.iter().filter(|&&n| n > 0).count() > sold.len() * 95 / 100);
    }
}
