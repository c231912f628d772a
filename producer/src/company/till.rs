//! The tills of the company: receipts of one or more lines, each line a sale.
//!
//! Timeline ──► receipt (moment, outlet, region, customer, store) ──► lines (product, quantity)
//!
//! Owns the order of draws, and with it the sequence of sales that a seed stands for. Does not own
//! the curves and tables it draws from.

use super::calendar::{APP, WEB};
use super::products::Catalogue;
use super::regions::REGIONS;
use super::stores::Stores;
use super::timeline::{EventTimes, Moment, Timeline};
use crate::chance::{Chance, Purpose, Ratio, Weighted};
use crate::sale::{Drawn, Sale};

/// Customers with a card per thousand inhabitants.
const CUSTOMERS_PER_THOUSAND: u32 = 6;
/// How many of those who buy in a store show a card; on the web everybody is known.
const CARD_SHARE: f64 = 0.64;
/// How often a known customer goes to the usual store.
const USUAL_STORE_SHARE: f64 = 0.8;
/// Lines of a receipt, from one line up, relative.
const STORE_BASKET: [f64; 10] = [30.0, 20.0, 14.0, 10.0, 8.0, 6.0, 5.0, 3.0, 2.0, 2.0];
/// Lines of an order, from one line up, relative.
const ONLINE_BASKET: [f64; 7] = [35.0, 25.0, 15.0, 10.0, 8.0, 4.0, 3.0];
/// Pieces of one product, from one up, relative: for goods up to 5 €, up to 30 €, and above.
const PIECES: [&[f64]; 3] = [
    &[68.0, 19.0, 6.0, 4.0, 1.0, 2.0],
    &[86.0, 11.0, 2.0, 1.0],
    &[97.0, 3.0],
];
/// Delays of late sales in minutes: a till without a line for a while, a store closed over the
/// weekend before it is read out. One is chosen, then varied by half of it either way.
const DELAYS_MIN: [i64; 8] = [20, 30, 60, 120, 360, 1_440, 2_880, 4_320];
/// A sale moved by less is not late: it could stand anywhere in its minute.
const LATE_FROM_US: i64 = 60_000_000;

/// What a till has to know.
#[derive(Debug, Clone)]
pub struct TillSettings {
    /// The sequence of sales.
    pub seed: u64,
    /// Where event times come from.
    pub times: EventTimes,
    /// The share of receipts that arrive late.
    pub late_ratio: Ratio,
}

/// Makes the sales of the company, one after the other, without end unless its event times end.
#[derive(Debug)]
pub struct Till {
    catalogue: Catalogue,
    stores: Stores,
    customers: Customers,
    regions: Weighted,
    store_basket: Weighted,
    online_basket: Weighted,
    pieces: [Weighted; 3],
    timeline: Timeline,
    late_ratio: Ratio,
    sales: Chance,
    lateness: Chance,
    receipt: Receipt,
}

/// What the lines of one receipt have in common.
#[derive(Debug, Default)]
struct Receipt {
    lines_left: usize,
    sold_at_us: i64,
    region: usize,
    store: usize,
    channel: &'static str,
    has_card: bool,
    late: bool,
}

impl Till {
    /// Opens the company.
    pub fn new(settings: TillSettings) -> Self {
        let populations = REGIONS.map(|region| f64::from(region.thousands));
        Self {
            catalogue: Catalogue::new(),
            stores: Stores::new(),
            customers: Customers::new(),
            regions: Weighted::new(&populations),
            store_basket: Weighted::new(&STORE_BASKET),
            online_basket: Weighted::new(&ONLINE_BASKET),
            pieces: PIECES.map(Weighted::new),
            timeline: Timeline::new(settings.times),
            late_ratio: settings.late_ratio,
            sales: Chance::new(settings.seed, Purpose::Sales),
            lateness: Chance::new(settings.seed, Purpose::Lateness),
            receipt: Receipt::default(),
        }
    }

    /// The next sale, or `None` once the days to be filled are over. `position` counts the messages
    /// of the run, also those that are not sales of their own, and must grow from call to call.
    #[inline]
    pub fn next_sale(&mut self, position: u64) -> Option<Drawn<'_>> {
        if self.receipt.lines_left == 0 {
            self.open_receipt(position)?;
        }
        self.receipt.lines_left -= 1;
        let sale_id = self.sale_id();
        let product = &self.catalogue.products()[self.catalogue.choose(&mut self.sales)];
        let dear = usize::from(product.price_cents > 500) + usize::from(product.price_cents > 3000);
        let quantity = 1 + self.pieces[dear].choose(&mut self.sales) as i32;
        let receipt = &self.receipt;
        let sale = Sale {
            sale_id,
            sold_at_us: receipt.sold_at_us,
            region: REGIONS[receipt.region].name,
            store_id: self.stores.id(receipt.store),
            product_id: &product.id,
            product_name: &product.name,
            category: product.category,
            quantity,
            unit_price_cents: product.price_cents,
            amount_cents: product.price_cents * i64::from(quantity),
            currency: "EUR",
            customer_id: receipt.has_card.then(|| self.customers.current()),
            channel: receipt.channel,
        };
        Some(Drawn {
            sale,
            late: receipt.late,
        })
    }

    fn open_receipt(&mut self, position: u64) -> Option<()> {
        let between = self.sales.unit();
        let on_time = self.timeline.at(position as f64 + between)?;
        let moment = self.delayed(on_time);
        let outlet = moment.bustle.outlet(self.sales.unit());
        let online = outlet == WEB || outlet == APP;
        let region = self.regions.choose(&mut self.sales);
        let has_card = self.sales.unit() < CARD_SHARE || online;
        let usual = self.customers.choose(region, &mut self.sales);
        let other = self.sales.below(u32::MAX);
        let pick = if has_card && self.sales.unit() < USUAL_STORE_SHARE {
            usual
        } else {
            other
        };
        let basket = if online {
            &self.online_basket
        } else {
            &self.store_basket
        };
        self.receipt = Receipt {
            lines_left: 1 + basket.choose(&mut self.sales),
            sold_at_us: moment.us,
            region,
            store: if online {
                self.stores.of_region(region, pick)
            } else {
                self.stores.of_kind(region, outlet, pick)
            },
            channel: match outlet {
                WEB => "web",
                APP => "app",
                _ => "store",
            },
            has_card,
            late: on_time.us - moment.us >= LATE_FROM_US,
        };
        Some(())
    }

    fn delayed(&mut self, moment: Moment) -> Moment {
        if !self.late_ratio.is_possible() || !self.lateness.happens(self.late_ratio) {
            return moment;
        }
        let minutes = DELAYS_MIN[self.lateness.below(DELAYS_MIN.len() as u32) as usize];
        let delay_us = (minutes * 60_000_000) as f64 * (0.5 + self.lateness.unit());
        self.timeline.before(moment, delay_us as i64)
    }

    /// A random UUID (version 4). Two of a run are equal with a probability below 10^-18 even
    /// after a thousand million sales.
    fn sale_id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.sales.bits().to_be_bytes());
        id[8..].copy_from_slice(&self.sales.bits().to_be_bytes());
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        id
    }
}

/// The customers who have a card. Each lives in one region; some come much more often than others.
#[derive(Debug)]
struct Customers {
    /// For each region the number of its first customer, and how many there are.
    by_region: Vec<(u32, u32)>,
    /// The one chosen last, as C and seven digits.
    text: String,
}

impl Customers {
    fn new() -> Self {
        let mut first = 1;
        let by_region = REGIONS
            .iter()
            .map(|region| {
                let count = region.thousands * CUSTOMERS_PER_THOUSAND;
                let range = (first, count);
                first += count;
                range
            })
            .collect();
        Self {
            by_region,
            text: String::from("C0000000"),
        }
    }

    /// Somebody of this region. The square makes a tenth of the customers come a third of the
    /// times, and still leaves some who come once.
    fn choose(&mut self, region: usize, chance: &mut Chance) -> u32 {
        let (first, count) = self.by_region[region];
        let unit = chance.unit();
        let customer = first + (unit * unit * f64::from(count)) as u32;
        self.text.clear();
        self.text.push('C');
        let mut power = 1_000_000;
        while power > 0 {
            let digit = (customer / power % 10) as u8;
            self.text.push(char::from(b'0' + digit));
            power /= 10;
        }
        customer
    }

    fn current(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    const MIDNIGHT_US: i64 = 1_769_731_200_000_000; // 2026-01-30T00:00:00Z, a Friday
    const DAY_US: i64 = 86_400_000_000;

    fn till(seed: u64, late_ratio: f64) -> Till {
        let times = EventTimes::Spread {
            start_us: MIDNIGHT_US,
            end_us: MIDNIGHT_US + 7 * DAY_US,
            sales: 50_000,
        };
        Till::new(TillSettings {
            seed,
            times,
            late_ratio: Ratio::new(late_ratio).unwrap(),
        })
    }

    fn week(seed: u64, late_ratio: f64, mut see: impl FnMut(&Drawn<'_>)) {
        let mut till = till(seed, late_ratio);
        for position in 0..50_000 {
            see(&till.next_sale(position).unwrap());
        }
    }

    #[test]
    fn amounts_prices_and_identifiers_hold_together() {
        let mut ids = HashSet::new();
        let mut prices = HashMap::new();
        week(1, 0.0, |drawn| {
            let sale = &drawn.sale;
            assert_eq!(
                sale.amount_cents,
                sale.unit_price_cents * i64::from(sale.quantity)
            );
            assert!(sale.quantity >= 1 && !drawn.late);
            assert!(ids.insert(sale.sale_id), "a sale_id came twice");
            let known = prices
                .entry(sale.product_id.to_owned())
                .or_insert(sale.unit_price_cents);
            assert_eq!(*known, sale.unit_price_cents, "{}", sale.product_name);
            assert!(
                sale.customer_id.is_some() || sale.channel == "store",
                "{sale:?}"
            );
        });
    }

    #[test]
    fn regions_sell_as_many_as_live_there() {
        // GIVEN a week of 50,000 sales. THEN each region's share is that of its inhabitants within
        // 15 % of itself and half a percent of all.
        let mut sold: HashMap<String, f64> = HashMap::new();
        week(2, 0.0, |drawn| {
            *sold.entry(drawn.sale.region.to_owned()).or_default() += 1.0;
        });
        let inhabitants: u32 = REGIONS.iter().map(|r| r.thousands).sum();
        assert_eq!(sold.len(), 13);
        for region in REGIONS {
            let expected = 50_000.0 * f64::from(region.thousands) / f64::from(inhabitants);
            let difference = (sold[region.name] - expected).abs();
            assert!(
                difference < expected * 0.15 + 250.0,
                "{} {difference}",
                region.name
            );
        }
    }

    #[test]
    fn customers_return_and_receipts_have_several_lines() {
        let mut customers: HashMap<String, u32> = HashMap::new();
        let mut receipts: HashMap<(i64, String), u32> = HashMap::new();
        week(3, 0.0, |drawn| {
            let sale = &drawn.sale;
            *receipts
                .entry((sale.sold_at_us, sale.store_id.to_owned()))
                .or_default() += 1;
            if let Some(customer) = sale.customer_id {
                assert_eq!(customer.len(), 8);
                *customers.entry(customer.to_owned()).or_default() += 1;
            }
        });
        let known: u32 = customers.values().sum();
        assert!((30_000..40_000).contains(&known), "{known}");
        assert!(
            customers.len() < known as usize / 2,
            "{} of {known}",
            customers.len()
        );
        let lines = 50_000.0 / receipts.len() as f64;
        assert!((2.0..5.0).contains(&lines), "{lines}");
    }

    #[test]
    fn late_sales_are_as_many_as_asked_and_step_back_in_time() {
        // GIVEN one in ten late. THEN about a tenth is, and these stand before the latest moment
        // seen so far, while no other one does. (After a quiet hour at night a sale that is a few
        // minutes late may still be the latest one.)
        let (mut late, mut stepped_back, mut latest) = (0, 0, MIDNIGHT_US);
        week(4, 0.1, |drawn| {
            let us = drawn.sale.sold_at_us;
            if drawn.late {
                late += 1;
                stepped_back += i32::from(us < latest);
            } else {
                assert!(us >= latest - LATE_FROM_US);
                latest = latest.max(us);
            }
            assert!(us >= MIDNIGHT_US);
        });
        assert!((3_500..6_000).contains(&late), "{late}");
        assert!(stepped_back * 100 > late * 98, "{stepped_back} of {late}");
    }

    #[test]
    fn another_seed_makes_other_sales() {
        let (mut a, mut b, mut again) = (till(5, 0.0), till(6, 0.0), till(5, 0.0));
        for position in 0..1000 {
            let sale = a.next_sale(position).unwrap().sale;
            assert_ne!(sale.sale_id, b.next_sale(position).unwrap().sale.sale_id);
            assert_eq!(sale, again.next_sale(position).unwrap().sale);
        }
    }
}
