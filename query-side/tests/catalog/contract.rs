//! What search does on every engine.

use std::collections::BTreeSet;
use std::time::Duration;

use daybook_domain::product::ProductEvent;
use daybook_event_store::Position;
use daybook_query_side::catalog::{CatalogQuery, CatalogSort, InvalidQuery, Progress};

use crate::shop::{AT, Shop, priced, words};

#[tokio::test]
async fn words_are_found_in_any_form_and_the_name_counts_most() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(words("hearts")).await, ["85123A", "84029E"]);
    assert_eq!(shop.finds(words("HANGING white")).await, ["85123A", "71053"]);
    assert_eq!(shop.finds(words("t-light")).await.len(), 2);
    assert_eq!(shop.finds(words("wick star")).await, ["21730"]);
    assert_eq!(shop.finds(words("garden")).await, ["71053"]);
    assert_eq!(shop.finds(words("submarine")).await, [""; 0]);
    assert_eq!(shop.finds(words("white submarine")).await, [""; 0]);
}

#[tokio::test]
async fn a_whole_sku_finds_its_product() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(words("85123A")).await, ["85123A"]);
    assert_eq!(shop.finds(words(" 85123a ")).await, ["85123A"]);
    assert_eq!(shop.finds(words("GIFT 0001_20")).await, ["GIFT 0001_20"]);
}

#[tokio::test]
async fn price_seller_and_category_narrow_each_other() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(priced(Some(339), Some(765), "GBP")).await, ["71053", "84029E", "22752"]);
    assert_eq!(shop.finds(priced(Some(766), None, "GBP")).await, ["GIFT 0001_20"]);
    assert_eq!(shop.finds(priced(None, None, "EUR")).await, ["21730"]);
    assert_eq!(shop.finds(priced(Some(i64::MIN), Some(i64::MAX), "USD")).await, [""; 0]);

    let bert = CatalogQuery {
        seller: Some("bert".parse().unwrap()),
        category: Some("Home".parse().unwrap()),
        sort: CatalogSort::PriceDescending,
        ..CatalogQuery::default()
    };
    assert_eq!(shop.finds(bert.clone()).await, ["22752", "84029E"]);
    let cheap = CatalogQuery { price: priced(None, Some(400), "GBP").price, ..bert.clone() };
    assert_eq!(shop.finds(cheap).await, ["84029E"]);
    let lower_case = CatalogQuery { category: Some("home".parse().unwrap()), ..bert };
    assert_eq!(shop.finds(lower_case).await, [""; 0]);
}

#[tokio::test]
async fn pages_hold_every_product_once() {
    let shop = Shop::open().await;
    for sort in [
        CatalogSort::Relevance,
        CatalogSort::PriceAscending,
        CatalogSort::PriceDescending,
        CatalogSort::Newest,
    ] {
        let mut query = CatalogQuery { sort, limit: Some(4), ..CatalogQuery::default() };
        let first = shop.search(query.clone()).await;
        assert_eq!((first.items.len(), first.total), (4, 6));
        query.cursor.clone_from(&first.next);
        let second = shop.search(query).await;
        assert_eq!((second.items.len(), second.total, second.next), (2, 6, None));
        let mut skus: Vec<_> =
            first.items.into_iter().chain(second.items).map(|hit| hit.item.sku).collect();
        skus.sort();
        skus.dedup();
        assert_eq!(skus.len(), 6);
    }
}

#[tokio::test]
async fn an_item_is_written_as_everywhere() {
    let shop = Shop::open().await;
    shop.reaches(shop.receive("71053", 1).await).await;

    let page = serde_json::to_value(shop.search(words("lantern")).await).unwrap();

    let expected = serde_json::json!({
        "items": [{
            "sku": "71053", "seller": "acme", "name": "White metal lantern",
            "description": "Hangs in the garden", "category": "Garden", "brand": "Wick",
            "price": { "amount": 339, "currency": "GBP" }, "inStock": true,
            "highlights": { "name": "White metal <em>lantern</em>" },
        }],
        "total": 1,
        "facets": {
            "categories": [{ "value": "Garden", "count": 1 }],
            "brands": [{ "value": "Wick", "count": 1 }],
            "sellers": [{ "value": "acme", "count": 1 }],
            "prices": [{ "currency": "GBP", "min": 100, "max": 499, "count": 1 }],
            "inStock": 1,
            "outOfStock": 0,
        },
        "similar": false,
        "stale": false,
        "next": null,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn what_looks_like_query_syntax_is_words() {
    let shop = Shop::open().await;

    assert_eq!(shop.finds(words("name:heart")).await, [""; 0]);
    assert_eq!(shop.finds(words("\"heart\" -(hanging) +white^9")).await, [""; 0]);
    assert_eq!(shop.finds(words("\"heart\" -(hanging) +white^")).await, ["85123A"]);
    assert_eq!(shop.finds(words("*art")).await, [""; 0]);
    assert_eq!(shop.finds(words("heart OR lantern")).await, [""; 0]);
    assert_eq!(shop.finds(words("[* TO *]")).await, [""; 0]);
    assert_eq!(shop.finds(words("\u{202e}heart\0")).await, ["85123A", "84029E"]);
}

#[tokio::test]
async fn queries_out_of_bounds_are_refused() {
    let shop = Shop::open().await;

    let long = "é".repeat(201);
    assert_eq!(
        shop.refuses(words(&long)).await,
        InvalidQuery::TextTooLong { max: 200, actual: 201 }
    );
    let many = "a ".repeat(17);
    assert_eq!(
        shop.refuses(words(&many)).await,
        InvalidQuery::TooManyWords { max: 16, actual: 17 }
    );
    assert_eq!(shop.refuses(words("***")).await, InvalidQuery::NoWords);
    assert_eq!(
        shop.refuses(priced(Some(2), Some(1), "GBP")).await,
        InvalidQuery::EmptyPriceRange { min: 2, max: 1 }
    );
    for actual in [0, 101] {
        let query = CatalogQuery { limit: Some(actual), ..CatalogQuery::default() };
        assert_eq!(shop.refuses(query).await, InvalidQuery::Limit { max: 100, actual });
    }
    for cursor in ["", "o", "x1", "o-1", "offffffffffffffffffff", "o2710", "o1\0"] {
        let query = CatalogQuery { cursor: Some(cursor.into()), ..CatalogQuery::default() };
        assert_eq!(shop.refuses(query).await, InvalidQuery::Cursor, "{cursor:?}");
    }
}

#[tokio::test]
async fn nothing_but_spaces_is_no_text() {
    let shop = Shop::open().await;

    assert_eq!(shop.search(words("  ")).await.total, 6);
}

#[tokio::test]
async fn a_search_sees_what_was_committed_before_it() {
    let shop = Shop::open().await;
    assert_eq!(shop.finds(words("lantern")).await, ["71053"]);

    let delisted = ProductEvent::Delisted { reason: String::new(), at: AT };
    let position = shop.append("71053", &delisted).await;
    shop.reaches(position).await;

    assert_eq!(shop.finds(words("lantern")).await, [""; 0]);
    let progress = shop.catalog.progress().await.unwrap();
    let expected = Progress { position: Some(position), changed: Some(position), parked: vec![] };
    assert_eq!(progress, expected);
}

#[tokio::test]
async fn a_reader_can_wait_for_what_was_written() {
    let shop = Shop::open().await;
    let delisted = ProductEvent::Delisted { reason: String::new(), at: AT };
    let position = shop.append("71053", &delisted).await;

    assert!(shop.catalog.wait_for(position, Duration::from_mins(1)).await.unwrap());
    assert_eq!(shop.finds(words("lantern")).await, [""; 0]);
    let later = Position(position.0 + 1);
    assert!(!shop.catalog.wait_for(later, Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn a_word_with_a_mistake_finds_what_is_like_it_only_where_nothing_has_it() {
    let shop = Shop::open().await;

    for typed in ["lantren", "latern", "lanterm", "white lantrn", "Hagning laterns"] {
        let page = shop.search(words(typed)).await;
        let skus: Vec<_> = page.items.iter().map(|hit| hit.item.sku.as_str()).collect();
        assert_eq!((skus.as_slice(), page.similar), (["71053"].as_slice(), true), "{typed}");
    }
    assert_eq!(shop.finds(words("forsted stars")).await, ["21730"]);
    // The mistake is in the ending: what is left of the words is not alike.
    for typed in ["nestng", "nestig boxs", "wooly"] {
        assert!(shop.search(words(typed)).await.similar, "{typed}");
    }
    assert_eq!(shop.finds(words("nestng")).await, ["22752"]);
    let page = shop.search(words("lantern")).await;
    assert!(!page.similar);
    // Another first letter, too short a word, too many mistakes.
    for typed in ["pantern", "sed", "lxntxrx"] {
        let page = shop.search(words(typed)).await;
        assert_eq!((page.total, page.similar), (0, false), "{typed}");
    }
    // The words are there: it is the filter that nothing passes.
    let narrowed = CatalogQuery { seller: Some("bert".parse().unwrap()), ..words("lantern") };
    let page = shop.search(narrowed).await;
    assert_eq!((page.total, page.similar), (0, false));
}

#[tokio::test]
async fn facets_count_what_another_choice_would_find() {
    let shop = Shop::open().await;
    shop.receive("85123A", 5).await;
    shop.reaches(shop.receive("22752", 5).await).await;
    let named = |facet: &[daybook_query_side::catalog::FacetValue]| -> Vec<(String, usize)> {
        facet.iter().map(|value| (value.value.clone(), value.count)).collect()
    };
    let expect = |pairs: &[(&str, usize)]| -> Vec<(String, usize)> {
        pairs.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect()
    };

    let all = shop.search(CatalogQuery::default()).await.facets.unwrap();
    let categories = [("Home", 3), ("Garden", 1), ("Lights", 1), ("Vouchers", 1)];
    assert_eq!(named(&all.categories), expect(&categories));
    assert_eq!(named(&all.brands), expect(&[("Wick", 3), ("Hottie", 1)]));
    assert_eq!((all.in_stock, all.out_of_stock), (2, 4));
    let prices: Vec<_> =
        all.prices.iter().map(|p| (p.currency.as_str(), p.min, p.max, p.count)).collect();
    let expected = [
        ("EUR", 100, Some(499), 1),
        ("GBP", 100, Some(499), 3),
        ("GBP", 500, Some(999), 1),
        ("GBP", 2_000, Some(4_999), 1),
    ];
    assert_eq!(prices, expected);

    let narrowed = CatalogQuery {
        category: Some("Home".parse().unwrap()),
        seller: Some("bert".parse().unwrap()),
        ..CatalogQuery::default()
    };
    let page = shop.search(narrowed).await;
    let facets = page.facets.unwrap();
    assert_eq!(page.total, 2);
    assert_eq!(named(&facets.categories), expect(&[("Home", 2), ("Lights", 1)]));
    assert_eq!(named(&facets.sellers), expect(&[("bert", 2), ("acme", 1)]));
    assert_eq!(named(&facets.brands), expect(&[("Hottie", 1)]));
    assert_eq!((facets.in_stock, facets.out_of_stock), (1, 1));

    let cheap = CatalogQuery { price: priced(None, Some(400), "GBP").price, ..words("white") };
    let facets = shop.search(cheap).await.facets.unwrap();
    assert_eq!(facets.prices.iter().map(|price| price.count).sum::<usize>(), 3);
    assert_eq!(facets.sellers.iter().map(|seller| seller.count).sum::<usize>(), 3);
}

#[tokio::test]
async fn brand_and_stock_narrow() {
    let shop = Shop::open().await;
    shop.reaches(shop.receive("71053", 1).await).await;
    let wick = CatalogQuery {
        brand: Some("Wick".parse().unwrap()),
        sort: CatalogSort::PriceAscending,
        ..CatalogQuery::default()
    };

    assert_eq!(shop.finds(wick.clone()).await, ["85123A", "71053", "21730"]);
    assert_eq!(shop.finds(CatalogQuery { in_stock: Some(true), ..wick.clone() }).await, ["71053"]);
    let gone = CatalogQuery { in_stock: Some(false), ..wick.clone() };
    assert_eq!(shop.finds(gone).await, ["85123A", "21730"]);
    let unknown = CatalogQuery { brand: Some("wick".parse().unwrap()), ..wick };
    assert_eq!(shop.finds(unknown).await, [""; 0]);
}

#[tokio::test]
async fn the_newest_come_first_where_that_is_asked() {
    let shop = Shop::empty().await;
    shop.list("OLD", "Cup", 1, 0).await;
    shop.list("NEW", "Cup", 2, 20).await;
    shop.reaches(shop.list("MID", "Cup", 3, 10).await).await;

    let query = CatalogQuery { sort: CatalogSort::Newest, ..words("cup") };
    assert_eq!(shop.finds(query).await, ["NEW", "MID", "OLD"]);
}

#[tokio::test]
async fn pages_go_on_where_they_ended_whatever_comes_and_goes() {
    let shop = Shop::empty().await;
    let mut last = Position(0);
    for n in 0..30 {
        last = shop.list(&format!("SKU-{n:02}"), "Tea cup", 100 + n / 3, n / 2).await;
    }
    shop.reaches(last).await;
    for sort in [
        CatalogSort::Relevance,
        CatalogSort::PriceAscending,
        CatalogSort::PriceDescending,
        CatalogSort::Newest,
    ] {
        let mut query = CatalogQuery { sort, limit: Some(7), ..words("cup") };
        let mut seen = Vec::new();
        for page_number in 0.. {
            let page = shop.search(query.clone()).await;
            assert_eq!(page.facets.is_some(), page_number == 0);
            assert_eq!(page.total, 30);
            seen.extend(page.items.into_iter().map(|hit| hit.item.sku));
            let Some(next) = page.next else { break };
            query.cursor = Some(next);
        }
        assert_eq!(seen.len(), 30, "{sort:?}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 30, "{sort:?}");
    }

    let query = CatalogQuery { sort: CatalogSort::PriceAscending, limit: Some(5), ..words("cup") };
    let first = shop.search(query.clone()).await;
    let delisted = ProductEvent::Delisted { reason: String::new(), at: AT };
    shop.append("SKU-00", &delisted).await;
    shop.reaches(shop.append("SKU-03", &delisted).await).await;
    let second = shop.finds(CatalogQuery { cursor: first.next, ..query }).await;
    assert_eq!(second, ["SKU-05", "SKU-06", "SKU-07", "SKU-08", "SKU-09"]);
}

#[tokio::test]
async fn a_cursor_is_of_its_order_only() {
    let shop = Shop::open().await;
    let query = CatalogQuery { limit: Some(2), ..CatalogQuery::default() };
    let cursor = shop.search(query.clone()).await.next;
    assert!(cursor.is_some());

    let other = CatalogQuery { cursor, sort: CatalogSort::Newest, ..query };
    assert_eq!(shop.refuses(other).await, InvalidQuery::Cursor);
}

#[tokio::test]
async fn what_is_being_typed_is_completed() {
    let shop = Shop::open().await;
    shop.reaches(shop.list("85123B", "White hanging heart", 300, 5).await).await;
    let suggest = async |typed: &str| -> Vec<String> {
        let found = shop.catalog.suggest(typed, None).await.unwrap();
        found.into_iter().map(|suggestion| suggestion.name).collect()
    };

    assert_eq!(suggest("whi").await, ["White hanging heart", "White metal lantern"]);
    assert_eq!(suggest("LAN").await, ["White metal lantern"]);
    assert_eq!(suggest("white la").await, ["White metal lantern"]);
    assert_eq!(suggest("hanging whi").await, ["White hanging heart"]);
    assert_eq!(suggest("b").await, ["Red woolly bottle", "Set of 7 boxes"]);
    assert_eq!(suggest("set").await, ["Set of 7 boxes"]);
    assert_eq!(suggest("zzz").await, [""; 0]);
    let one = shop.catalog.suggest("w", Some(1)).await.unwrap();
    assert_eq!(one.len(), 1);
}

#[tokio::test]
async fn a_name_is_suggested_once_however_many_products_have_it() {
    let shop = Shop::empty().await;
    for n in 0..60 {
        shop.list(&format!("BOX-{n:02}"), "Blue box", 100, 0).await;
    }
    shop.list("BOX-60", "BLUE BOX", 100, 0).await;
    shop.list("CUP-1", "A blue cup", 100, 0).await;
    shop.reaches(shop.list("CUP-2", "Cup, bluish", 100, 0).await).await;

    let found = shop.catalog.suggest("blu", Some(3)).await.unwrap();

    let found: Vec<_> = found.iter().map(|found| (&*found.name, &*found.sku)).collect();
    assert_eq!(found, [("Blue box", "BOX-00"), ("A blue cup", "CUP-1"), ("Cup, bluish", "CUP-2")]);
}

#[tokio::test]
async fn a_beginning_out_of_bounds_is_refused() {
    let shop = Shop::open().await;
    let refused = async |typed: &str, limit| {
        let refused = shop.catalog.suggest(typed, limit).await.unwrap_err();
        refused.to_string()
    };

    assert!(refused("", None).await.contains("no letters"));
    assert!(refused("*.*", None).await.contains("no letters"));
    assert!(refused(&"x".repeat(201), None).await.contains("200 characters"));
    assert!(refused(&"x ".repeat(17), None).await.contains("16 words"));
    assert!(refused("x", Some(0)).await.contains("1 to 20"));
    assert!(refused("x", Some(21)).await.contains("1 to 20"));
}

#[tokio::test]
async fn hostile_texts_are_words_too_and_bounded() {
    let shop = Shop::open().await;
    let sixteen = "heart ".repeat(16);
    assert_eq!(shop.finds(words(&sixteen)).await.len(), 2);
    for text in [
        "{\"match_all\":{}}",
        "((((((((heart",
        "heart~99",
        "/he.*t/",
        "he?rt*",
        "_exists_:sku",
        "\u{0}\u{1f}heart",
        "heart\n\r\tx",
        "💗 heart",
        "ｈｅａｒｔ",
        "a\u{301}\u{301}\u{301}",
        "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq x",
    ] {
        assert!(shop.catalog.search(words(text)).await.unwrap().total <= 2, "{text:?}");
    }
}

#[tokio::test]
async fn highlights_are_where_the_words_are() {
    let shop = Shop::open().await;

    let page = shop.search(words("hearts")).await;
    let highlights: Vec<_> = page.items.iter().map(|hit| &hit.highlights).collect();
    assert_eq!(highlights[0].name.as_deref(), Some("White hanging <em>heart</em>"));
    assert_eq!(highlights[1].name, None);
    assert_eq!(highlights[1].description.as_deref(), Some("With white <em>hearts</em>"));
    let page = shop.search(CatalogQuery::default()).await;
    assert!(page.items.iter().all(|hit| hit.highlights.name.is_none()));
}
