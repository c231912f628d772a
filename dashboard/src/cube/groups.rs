//! The combinations of region, product and category that occur, as small numbers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Number of a group, in the order in which groups were first seen.
pub type GroupId = u32;

/// What a sum is told apart by. A value that is null or missing is the empty text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The region.
    pub region: Arc<str>,
    /// The product.
    pub product: Arc<str>,
    /// The category, where rollups are kept by it.
    pub category: Option<Arc<str>>,
}

/// All groups. Grows with the number of combinations, not with sales or time.
#[derive(Debug, Default)]
pub struct Groups {
    list: Vec<Group>,
    ids: HashMap<Group, GroupId>,
    /// One copy of every text.
    texts: HashMap<Box<str>, Arc<str>>,
    /// Categories of products, where rollups are not kept by category.
    of_product: HashMap<Arc<str>, Arc<str>>,
    /// Products whose category is not known.
    wanted: BTreeSet<Arc<str>>,
}

impl Groups {
    /// The number of a group, new if it was never seen.
    pub fn id(&mut self, region: &str, product: &str, category: Option<&str>) -> GroupId {
        let group = Group {
            region: self.text(region),
            product: self.text(product),
            category: category.map(|category| self.text(category)),
        };
        if let Some(id) = self.ids.get(&group) {
            return *id;
        }
        // Combinations of names: four billion of them would not fit into memory before.
        let id = GroupId::try_from(self.list.len()).unwrap_or(GroupId::MAX);
        if group.category.is_none() && !self.of_product.contains_key(&group.product) {
            self.wanted.insert(group.product.clone());
        }
        self.list.push(group.clone());
        self.ids.insert(group, id);
        id
    }

    /// Every group, by its number.
    pub fn list(&self) -> &[Group] {
        &self.list
    }

    /// Whether rollups are kept by category.
    pub fn are_by_category(&self) -> bool {
        self.list.iter().any(|group| group.category.is_some())
    }

    /// The category of a group; empty while it is not known.
    pub fn category<'a>(&'a self, group: &'a Group) -> &'a str {
        match &group.category {
            Some(category) => category,
            None => self.of_product.get(&group.product).map_or("", |c| c),
        }
    }

    /// Whether the category of every group is known.
    pub fn has_all_categories(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Some of the products whose category is still to be looked up.
    pub fn without_category(&self, at_most: usize) -> Vec<Arc<str>> {
        self.wanted.iter().take(at_most).cloned().collect()
    }

    /// Says what category a product is of.
    pub fn set_category(&mut self, product: &str, category: &str) {
        let (product, category) = (self.text(product), self.text(category));
        self.wanted.remove(&product);
        self.of_product.insert(product, category);
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(text.into(), new.clone());
        new
    }
}
