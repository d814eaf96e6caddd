use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use daybook_domain::values::{
    Country, Currency, CustomerId, Email, InvalidValue, Label, Money, MoneyError, OrderId,
    PaymentMethod, Quantity, SellerId, Sku, Timestamp,
};

use crate::given::{currency, eur, gbp, quantity};

#[track_caller]
fn accepts<T: FromStr<Err = InvalidValue> + Debug + ToString>(input: &str) {
    let value = input.parse::<T>().expect("valid input");
    assert_eq!(value.to_string(), input);
}

#[track_caller]
fn wrong_length<T: FromStr<Err = InvalidValue> + Debug>(input: &str) {
    assert!(matches!(input.parse::<T>(), Err(InvalidValue::Length { .. })));
}

#[track_caller]
fn wrong_form<T: FromStr<Err = InvalidValue> + Debug>(input: &str) {
    assert!(matches!(input.parse::<T>(), Err(InvalidValue::Form { .. })), "{input:?}");
}

#[test]
fn a_sku_is_printable_ascii_of_64_characters_at_most() {
    accepts::<Sku>("A");
    accepts::<Sku>("85123A x/y~");
    accepts::<Sku>(&"x".repeat(64));
    wrong_length::<Sku>("");
    wrong_length::<Sku>(&"x".repeat(65));
    for input in [" A", "A ", "A\tB", "A\n", "\0", "Ä", "\u{7f}"] {
        wrong_form::<Sku>(input);
    }
}

#[test]
fn a_seller_is_lowercase_letters_digits_and_hyphens() {
    accepts::<SellerId>("acme-24");
    wrong_length::<SellerId>("");
    wrong_length::<SellerId>(&"a".repeat(65));
    for input in ["Acme", "a b", "a_b", "ä"] {
        wrong_form::<SellerId>(input);
    }
}

#[test]
fn a_name_is_one_line_counted_in_characters() {
    accepts::<Label>("Tea cup, 茶碗");
    accepts::<Label>(&"茶".repeat(200));
    wrong_length::<Label>("");
    wrong_length::<Label>(&"茶".repeat(201));
    for input in [" a", "a ", "a\nb", "a\u{1b}b"] {
        wrong_form::<Label>(input);
    }
}

#[test]
fn an_email_address_has_a_name_and_a_host() {
    accepts::<Email>("a@b");
    accepts::<Email>("first.last+tag@shop.example");
    wrong_length::<Email>("@");
    wrong_length::<Email>(&format!("{}@b", "a".repeat(253)));
    for input in ["abc", "@bc", "ab@", "a@b@c", "a b@c", "a\u{2003}b@c"] {
        wrong_form::<Email>(input);
    }
}

#[test]
fn a_country_is_two_capital_letters() {
    accepts::<Country>("GB");
    wrong_length::<Country>("GBR");
    wrong_form::<Country>("gb");
    wrong_form::<Country>("ÄÖ");
}

#[test]
fn a_payment_method_has_no_spaces() {
    accepts::<PaymentMethod>("tok_visa");
    wrong_length::<PaymentMethod>(&"x".repeat(129));
    wrong_form::<PaymentMethod>("tok visa");
}

#[test]
fn an_id_is_a_uuid_and_is_shown_in_lower_case() {
    let id = "0190C5F0-0000-7000-8000-00000000000A".parse::<OrderId>().unwrap();
    assert_eq!(id.to_string(), "0190c5f0-0000-7000-8000-00000000000a");
    wrong_form::<CustomerId>("17850");
    wrong_form::<CustomerId>(&"0".repeat(10_000));
}

#[test]
fn what_is_wrong_with_long_input_is_said_briefly() {
    let error = " ".repeat(200).parse::<Label>().unwrap_err().to_string();
    assert!(error.len() < 160, "{error}");
    let error = "x".repeat(1_000_000).parse::<Currency>().unwrap_err().to_string();
    assert!(error.len() < 160, "{error}");
}

#[test]
fn a_quantity_is_from_one_to_its_maximum() {
    assert_eq!(i64::from(quantity(1)), 1);
    assert_eq!(quantity(Quantity::MAX.into()).get(), Quantity::MAX);
    for n in [0, -1, i64::from(Quantity::MAX) + 1, i64::from(u32::MAX) + 2, i64::MIN, i64::MAX] {
        assert!(
            matches!(Quantity::try_from(n), Err(InvalidValue::Range { actual, .. }) if actual == n)
        );
    }
}

#[test]
fn quantities_add_up_within_their_range() {
    let most = quantity(Quantity::MAX.into());
    assert_eq!(quantity(2).checked_add(quantity(3)), Some(quantity(5)));
    assert_eq!(most.checked_add(quantity(1)), None);
    assert_eq!(quantity(2).saturating_add(quantity(3)), quantity(5));
    assert_eq!(most.saturating_add(most), most);
}

#[test]
fn a_currency_is_of_iso_4217() {
    accepts::<Currency>("GBP");
    for input in ["gbp", "GB", "GBPX", "AAA", "£", ""] {
        wrong_form::<Currency>(input);
    }
}

#[test]
fn money_is_added_and_subtracted_within_one_currency() {
    assert_eq!(gbp(5).plus(gbp(7)), Ok(gbp(12)));
    assert_eq!(gbp(5).minus(gbp(7)), Ok(gbp(-2)));
    let mismatch = MoneyError::CurrencyMismatch(currency("GBP"), currency("EUR"));
    assert_eq!(gbp(5).plus(eur(7)), Err(mismatch));
    assert_eq!(gbp(5).minus(eur(7)), Err(mismatch));
}

#[test]
fn money_does_not_overflow() {
    assert_eq!(gbp(i64::MAX).plus(gbp(1)), Err(MoneyError::Overflow));
    assert_eq!(gbp(i64::MIN).minus(gbp(1)), Err(MoneyError::Overflow));
    assert_eq!(gbp(i64::MAX).times(quantity(2)), Err(MoneyError::Overflow));
    assert_eq!(gbp(299).times(quantity(3)), Ok(gbp(897)));
}

#[test]
fn money_is_shown_with_the_decimals_of_its_currency() {
    let shown = |minor, code| Money::new(minor, currency(code)).to_string();
    assert_eq!(shown(123_456, "GBP"), "1234.56 GBP");
    assert_eq!(shown(5, "GBP"), "0.05 GBP");
    assert_eq!(shown(-5, "GBP"), "-0.05 GBP");
    assert_eq!(shown(0, "EUR"), "0.00 EUR");
    assert_eq!(shown(1234, "JPY"), "1234 JPY");
    assert_eq!(shown(1234, "KWD"), "1.234 KWD");
    assert_eq!(shown(i64::MIN, "GBP"), "-92233720368547758.08 GBP");
    assert_eq!(shown(7, "XAU"), "7 XAU");
}

#[test]
fn an_instant_moves_on_until_the_end_of_time() {
    let second = Duration::from_secs(1);
    assert_eq!(Timestamp::from_micros(5).plus(second).as_micros(), 1_000_005);
    assert_eq!(Timestamp::from_micros(i64::MAX).plus(second).as_micros(), i64::MAX);
    assert_eq!(Timestamp::from_micros(0).plus(Duration::MAX).as_micros(), i64::MAX);
}
