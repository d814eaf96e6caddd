/// One thing of all read models (an address, a pool of connections), but for those that have another
/// of their own. What several of them have is there once. Their names mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerModel<T> {
    usual: T,
    own: Vec<(Vec<String>, T)>,
}

impl<T> From<T> for PerModel<T> {
    /// The same for all.
    fn from(usual: T) -> Self {
        Self { usual, own: Vec::new() }
    }
}

impl<T> PerModel<T> {
    /// That of all that have none of their own.
    pub fn usual(&self) -> &T {
        &self.usual
    }

    /// That of a read model.
    pub fn of(&self, model: &str) -> &T {
        let own = self.own.iter().find(|(models, _)| models.iter().any(|name| name == model));
        own.map_or(&self.usual, |(_, own)| own)
    }

    /// Each once: first that of all others, with no names, then those of some, with theirs.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], &T)> {
        let own = self.own.iter().map(|(models, own)| (models.as_slice(), own));
        let nobody: &[String] = &[];
        std::iter::once((nobody, &self.usual)).chain(own)
    }

    /// Whether one of [`iter`](Self::iter) is that of a read model.
    pub fn is_of(&self, one: &T, model: &str) -> bool {
        std::ptr::eq(self.of(model), one)
    }

    /// What is made of each, once.
    ///
    /// # Errors
    /// The first that nothing can be made of.
    pub fn try_map<U, E>(&self, make: impl Fn(&T) -> Result<U, E>) -> Result<PerModel<U>, E> {
        let own = self.own.iter().map(|(models, own)| Ok((models.clone(), make(own)?)));
        Ok(PerModel { usual: make(&self.usual)?, own: own.collect::<Result<_, E>>()? })
    }

    /// Gives a read model one of its own, instead of what it had.
    pub fn give(&mut self, model: &str, own: T)
    where
        T: PartialEq,
    {
        for (models, _) in &mut self.own {
            models.retain(|name| name != model);
        }
        self.own.retain(|(models, _)| !models.is_empty());
        if own == self.usual {
            return;
        }
        match self.own.iter_mut().find(|(_, other)| *other == own) {
            Some((models, _)) => models.push(model.to_owned()),
            None => self.own.push((vec![model.to_owned()], own)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn given(own: &[(&str, &'static str)]) -> PerModel<&'static str> {
        let mut all = PerModel::from("a");
        for &(model, own) in own {
            all.give(model, own);
        }
        all
    }

    fn told<'a>(all: &'a PerModel<&str>) -> Vec<(Vec<&'a str>, &'a str)> {
        let names = |models: &'a [String]| models.iter().map(String::as_str).collect();
        all.iter().map(|(models, own)| (names(models), *own)).collect()
    }

    #[test]
    fn a_model_has_its_own_and_all_others_the_usual() {
        let all = given(&[("orders", "b"), ("stock", "c"), ("sales", "b")]);

        assert_eq!((*all.of("orders"), *all.of("sales"), *all.of("stock")), ("b", "b", "c"));
        assert_eq!((*all.of("payments"), *all.of("")), ("a", "a"));
        let each = [(vec![], "a"), (vec!["orders", "sales"], "b"), (vec!["stock"], "c")];
        assert_eq!(told(&all), each);
    }

    #[test]
    fn what_is_given_later_takes_the_place_of_what_was() {
        let all = given(&[("orders", "b"), ("stock", "b"), ("orders", "c"), ("stock", "a")]);

        assert_eq!(told(&all), [(vec![], "a"), (vec!["orders"], "c")]);
    }

    #[test]
    fn what_several_have_is_made_once() {
        let made = Cell::new(0);
        let all = given(&[("orders", "b"), ("stock", "b")]);

        let all = all.try_map(|text| {
            made.set(made.get() + 1);
            (!text.is_empty()).then(|| text.to_uppercase()).ok_or(())
        });

        let all = all.unwrap();
        assert_eq!((made.get(), &**all.of("stock"), &**all.of("sales")), (2, "B", "A"));
        let (_, shared) = all.iter().nth(1).unwrap();
        assert!(all.is_of(shared, "orders") && !all.is_of(shared, "sales"));
        assert_eq!(given(&[("orders", "")]).try_map(|text| text.parse::<char>()).ok(), None);
    }
}
