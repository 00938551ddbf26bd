//! Memory of what is kept for long.

/// The same list in no more memory than it needs: an allocator may leave a block as large as it was when a
/// list in it shrinks.
pub fn without_spare<T>(mut list: Vec<T>) -> Vec<T> {
    if list.len() == list.capacity() {
        return list;
    }
    let mut exact = Vec::with_capacity(list.len());
    exact.append(&mut list);
    exact
}

#[cfg(test)]
mod tests {
    use super::without_spare;

    #[test]
    fn nothing_is_lost_but_room() {
        let mut list = Vec::with_capacity(100);
        list.extend(["a", "b", "c"]);
        let exact = without_spare(list);
        assert_eq!((exact.as_slice(), exact.capacity()), (["a", "b", "c"].as_slice(), 3));
    }
}
