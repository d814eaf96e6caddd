//! Made-up products, the same ones every time.

use std::collections::BTreeSet;

use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{Currency, InvalidValue, Label, Money, Quantity, Sku, Timestamp};
use fastrand::Rng;

const WORDS: usize = 20_000;
const CATEGORIES: usize = 200;
const BRANDS: usize = 500;
const SELLERS: usize = 300;

/// When the first product is listed; the others follow a second apart.
const AT: i64 = 1_300_000_000_000_000;

/// Numbers below a count: 0 twice as often as 1, three times as often as 2, and so on.
pub(super) struct Zipf(Vec<f64>);

impl Zipf {
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^52")]
    pub(super) fn new(count: usize) -> Self {
        let sum = |sum: &mut f64, n: usize| {
            *sum += 1.0 / n as f64;
            Some(*sum)
        };
        Self((1..=count).scan(0.0, sum).collect())
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        let at = rng.f64() * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum <= at).min(self.0.len().saturating_sub(1))
    }
}

/// A product, as it is listed.
pub(super) struct Product {
    pub(super) sku: Sku,
    pub(super) name: Label,
    pub(super) category: Label,
    pub(super) price: Money,
    pub(super) listed: ProductEvent,
    /// What it has in stock, if it has any.
    pub(super) received: Option<StockEvent>,
}

/// Any number of products.
pub(super) struct Assortment {
    words: Vec<String>,
    word: Zipf,
    category: Zipf,
    brand: Zipf,
    seller: Zipf,
    currency: Currency,
}

impl Assortment {
    pub(super) fn new() -> Result<Self, InvalidValue> {
        Ok(Self {
            words: vocabulary(),
            word: Zipf::new(WORDS),
            category: Zipf::new(CATEGORIES),
            brand: Zipf::new(BRANDS),
            seller: Zipf::new(SELLERS),
            currency: "GBP".parse()?,
        })
    }

    /// The product of this number.
    pub(super) fn product(&self, number: u32) -> Result<Product, InvalidValue> {
        let mut rng = Rng::with_seed(number.into());
        let sku: Sku = format!("P{number:07}").parse()?;
        let name: Label = self.text(3..=6, &mut rng).parse()?;
        // Its words are as rare as the last of the vocabulary.
        let category: Label = self.words[WORDS - 1 - self.category.draw(&mut rng)].parse()?;
        let brand = &self.words[WORDS / 2 + self.brand.draw(&mut rng)];
        let decade = 10_i64.pow(rng.u32(2..5));
        let price = Money::new(rng.i64(decade..10 * decade), self.currency);
        let at = Timestamp::from_micros(AT + i64::from(number) * 1_000_000);
        let listed = ProductEvent::Listed {
            sku: sku.clone(),
            seller: format!("seller-{}", self.seller.draw(&mut rng)).parse()?,
            name: name.clone(),
            description: self.text(8..=20, &mut rng),
            category: category.clone(),
            brand: if rng.u8(..10) == 0 { None } else { Some(brand.parse()?) },
            price,
            at,
        };
        let stock = if rng.u8(..5) == 0 { None } else { Some(rng.i64(1..500)) };
        let received = stock.map(|stock| {
            let (quantity, receipt) = (Quantity::try_from(stock)?, format!("receipt-{number}"));
            Ok(StockEvent::Received { quantity, receipt, at })
        });
        Ok(Product { sku, name, category, price, listed, received: received.transpose()? })
    }

    fn text(&self, words: std::ops::RangeInclusive<usize>, rng: &mut Rng) -> String {
        let count = rng.usize(words);
        let words: Vec<_> = (0..count).map(|_| &*self.words[self.word.draw(rng)]).collect();
        words.join(" ")
    }
}

/// Different words of three syllables, of which few are alike.
fn vocabulary() -> Vec<String> {
    let mut rng = Rng::with_seed(0);
    let (mut words, mut known) = (Vec::with_capacity(WORDS), BTreeSet::new());
    while words.len() < WORDS {
        let mut word = String::new();
        for _ in 0..3 {
            word.extend(rng.choice(*b"bcdfghklmnprtvz").map(char::from));
            word.extend(rng.choice(*b"aeiou").map(char::from));
        }
        word.extend(rng.choice(["", "k", "l", "m", "n", "r"]));
        if known.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_the_same_every_time() {
        let [one, other] = [Assortment::new().unwrap(), Assortment::new().unwrap()];

        for number in [0, 1, 999_999] {
            let [one, other] = [&one, &other].map(|made| made.product(number).unwrap());
            assert_eq!((one.listed, one.received), (other.listed, other.received));
        }
    }

    #[test]
    fn the_first_is_drawn_twice_as_often_as_the_second() {
        let (zipf, mut rng) = (Zipf::new(100), Rng::with_seed(7));
        let mut drawn = [0_i32; 100];

        for _ in 0..100_000 {
            drawn[zipf.draw(&mut rng)] += 1;
        }

        assert!((drawn[0] - 2 * drawn[1]).abs() < 1_000, "{drawn:?}");
        assert!((drawn[0] - 10 * drawn[9]).abs() < 2_500, "{drawn:?}");
        assert!(drawn.iter().all(|&count| count > 0), "{drawn:?}");
    }
}
