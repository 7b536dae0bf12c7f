//! Things by category: found by number, kept in the order in which they came.

/// A list with an index. Emptied without touching the index, which is checked when it is used.
pub(super) struct ByCategory<T> {
    items: Vec<(u16, T)>,
    places: Vec<u16>,
}

impl<T> Default for ByCategory<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            places: Vec::new(),
        }
    }
}

impl<T> ByCategory<T> {
    #[inline]
    fn place(&self, category: u16) -> Option<usize> {
        let place = usize::from(*self.places.get(usize::from(category))?);
        let (there, _) = self.items.get(place)?;
        (*there == category).then_some(place)
    }

    pub(super) fn has(&self, category: u16) -> bool {
        self.place(category).is_some()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, category: u16) -> Option<&mut T> {
        let place = self.place(category)?;
        self.items.get_mut(place).map(|(_, item)| item)
    }

    /// The category's item, made where there is none.
    #[inline]
    pub(super) fn get_or_make(&mut self, category: u16) -> Option<&mut T>
    where
        T: Default,
    {
        if self.place(category).is_none() {
            let number = usize::from(category);
            if self.places.len() <= number {
                self.places.resize(number + 1, 0);
            }
            // As many items as there are categories, at most: they fit.
            *self.places.get_mut(number)? = u16::try_from(self.items.len()).ok()?;
            self.items.push((category, T::default()));
        }
        self.get_mut(category)
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        self.items.iter().map(|(category, item)| (*category, item))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        self.items
            .iter_mut()
            .map(|(category, item)| (*category, item))
    }
}

#[cfg(test)]
mod tests {
    use super::ByCategory;

    #[test]
    fn items_are_found_and_gone_when_it_was_emptied() {
        let mut counts = ByCategory::<u32>::default();
        for category in [7, 3, 7, 900, 0, 3, 7] {
            *counts.get_or_make(category).unwrap() += 1;
        }
        let all = |counts: &ByCategory<u32>| -> Vec<(u16, u32)> {
            counts
                .iter()
                .map(|(category, count)| (category, *count))
                .collect()
        };
        assert_eq!(all(&counts), [(7, 3), (3, 2), (900, 1), (0, 1)]);
        counts.clear();
        assert!(!counts.has(7) && counts.get_mut(900).is_none());
        *counts.get_or_make(900).unwrap() = 5;
        assert!(!counts.has(7), "its old place is 900's now");
        assert_eq!(all(&counts), [(900, 5)]);
    }
}
