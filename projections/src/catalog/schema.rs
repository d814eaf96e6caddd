use daybook_domain::product::Listing;
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, STORED, STRING, Schema, SchemaBuilder, TextFieldIndexing, TextOptions,
};

/// The meaning of the documents. Raise it when they must be written anew although the schema is
/// the same.
pub(crate) const VERSION: u64 = 1;

/// Where a product's properties stand in its document.
///
/// Readers find the fields by their names in the schema that the index carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// As it is: the key of the document, and the last resort of every order.
    pub(crate) sku: Field,
    /// As it is.
    pub(crate) seller: Field,
    /// English words.
    pub(crate) name: Field,
    /// English words.
    pub(crate) description: Field,
    /// As it is.
    pub(crate) category: Field,
    /// The category again, as English words.
    pub(crate) category_words: Field,
    /// English words.
    pub(crate) brand: Field,
    /// Minor units of the currency.
    pub(crate) price: Field,
    /// ISO 4217 code.
    pub(crate) currency: Field,
}

/// Words of English text, lowercase and without their endings, with their places and counts.
fn words() -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("en_stem")
        .set_index_option(tantivy::schema::IndexRecordOption::WithFreqsAndPositions);
    TextOptions::default().set_indexing_options(indexing)
}

impl Fields {
    /// The schema of the index, and where its fields are.
    pub(crate) fn with_schema() -> (Schema, Self) {
        let mut schema = SchemaBuilder::default();
        let fields = Self {
            sku: schema.add_text_field("sku", STRING | STORED | FAST),
            seller: schema.add_text_field("seller", STRING | STORED),
            name: schema.add_text_field("name", words() | STORED),
            description: schema.add_text_field("description", words() | STORED),
            category: schema.add_text_field("category", STRING | STORED),
            category_words: schema.add_text_field("categoryWords", words()),
            brand: schema.add_text_field("brand", words() | STORED),
            price: schema.add_i64_field("price", INDEXED | STORED | FAST),
            currency: schema.add_text_field("currency", STRING | STORED),
        };
        (schema.build(), fields)
    }

    /// The document of a product.
    pub(crate) fn document(&self, listing: &Listing) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.sku, listing.sku.as_str());
        document.add_text(self.seller, listing.seller.as_str());
        document.add_text(self.name, listing.name.as_str());
        document.add_text(self.description, &listing.description);
        document.add_text(self.category, listing.category.as_str());
        document.add_text(self.category_words, listing.category.as_str());
        if let Some(brand) = &listing.brand {
            document.add_text(self.brand, brand.as_str());
        }
        document.add_i64(self.price, listing.price.minor);
        document.add_text(self.currency, listing.price.currency.code());
        document
    }
}
