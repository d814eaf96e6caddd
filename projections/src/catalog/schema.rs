use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, SchemaBuilder,
    TextFieldIndexing, TextOptions,
};

use super::document::Document;

/// Where a product's properties stand in its document in the embedded index.
///
/// Readers find the fields by their names in the schema that the index carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// As it is: the key of the document, and the last resort of every order.
    pub(crate) sku: Field,
    seller: Field,
    name: Field,
    /// The name's words as they are typed, for their beginnings.
    name_words: Field,
    /// The whole name in lower case.
    name_key: Field,
    description: Field,
    category: Field,
    category_words: Field,
    brand: Field,
    brand_words: Field,
    /// The words of name, description, category and brand as they are typed.
    spellings: Field,
    price: Field,
    currency: Field,
    price_band: Field,
    in_stock: Field,
    listed_at: Field,
}

/// English words, lowercase and without their endings, with their counts.
fn english() -> TextOptions {
    words("en_stem", IndexRecordOption::WithFreqs, true)
}

/// Words as they are typed, in lowercase: only whether they are there.
fn typed() -> TextOptions {
    words("default", IndexRecordOption::Basic, false)
}

fn words(tokenizer: &str, record: IndexRecordOption, lengths: bool) -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(tokenizer)
        .set_index_option(record)
        .set_fieldnorms(lengths);
    TextOptions::default().set_indexing_options(indexing)
}

impl Fields {
    /// The schema of the index, and where its fields are.
    pub(crate) fn with_schema() -> (Schema, Self) {
        let mut schema = SchemaBuilder::default();
        let whole = STRING | STORED | FAST;
        let fields = Self {
            sku: schema.add_text_field("sku", whole.clone()),
            seller: schema.add_text_field("seller", whole.clone()),
            name: schema.add_text_field("name", english() | STORED),
            name_words: schema.add_text_field("nameWords", typed()),
            name_key: schema.add_text_field("nameKey", STRING | FAST),
            description: schema.add_text_field("description", english() | STORED),
            category: schema.add_text_field("category", whole.clone()),
            category_words: schema.add_text_field("categoryWords", english()),
            brand: schema.add_text_field("brand", whole.clone()),
            brand_words: schema.add_text_field("brandWords", english()),
            spellings: schema.add_text_field("spellings", typed()),
            price: schema.add_i64_field("price", INDEXED | STORED | FAST),
            currency: schema.add_text_field("currency", whole),
            price_band: schema.add_text_field("priceBand", STRING | FAST),
            in_stock: schema.add_bool_field("inStock", INDEXED | STORED | FAST),
            listed_at: schema.add_i64_field("listedAt", INDEXED | STORED | FAST),
        };
        (schema.build(), fields)
    }

    /// A product in the words of the embedded engine.
    pub(crate) fn document(&self, product: &Document) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.sku, product.sku);
        document.add_text(self.seller, product.seller);
        document.add_text(self.name, product.name);
        document.add_text(self.name_words, product.name);
        document.add_text(self.name_key, product.name.to_lowercase());
        document.add_text(self.description, product.description);
        document.add_text(self.category, product.category);
        document.add_text(self.category_words, product.category);
        if let Some(brand) = product.brand {
            document.add_text(self.brand, brand);
            document.add_text(self.brand_words, brand);
        }
        let texts = [product.name, product.description, product.category];
        for text in texts.into_iter().chain(product.brand) {
            document.add_text(self.spellings, text);
        }
        document.add_i64(self.price, product.price);
        document.add_text(self.currency, product.currency);
        document.add_text(self.price_band, &product.price_band);
        document.add_bool(self.in_stock, product.in_stock);
        document.add_i64(self.listed_at, product.listed_at);
        document
    }
}
