//! Which parts of a record go where: the paths that are asked for, as a tree of keys.

use super::keys::Keys;
use super::value::Value;
use crate::json::{Members, Span};

/// What happens with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It becomes a cell of this column of the batch.
    Column(usize),
    /// It is captured in this slot, for derived columns.
    Capture(usize),
}

/// The keys below one key that anybody asked for.
#[derive(Debug, Default)]
pub(super) struct Node {
    keys: Keys,
    /// By the keys' numbers.
    children: Vec<Node>,
    targets: Vec<Target>,
}

impl Node {
    /// Asks for `path`.
    pub(super) fn add(&mut self, path: &str, target: Target) {
        let mut node = self;
        for key in path.split('.') {
            let number = node.keys.add(key);
            if number == node.children.len() {
                node.children.push(Node::default());
            }
            node = &mut node.children[number];
        }
        node.targets.push(target);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Whether there are columns below this one, so that an object is no surprise.
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The child for a key in any case.
    #[inline(always)]
    pub(super) fn find(&self, text: &str, key: Span) -> Option<(usize, &Node)> {
        if key.escaped {
            let key = crate::json::unescape(key.raw(text));
            return self.find_key(key.as_bytes());
        }
        let bytes = &text.as_bytes()[key.start as usize..key.end as usize];
        self.find_key(bytes)
    }

    #[inline(always)]
    fn find_key(&self, key: &[u8]) -> Option<(usize, &Node)> {
        let number = self.keys.find(key)?;
        Some((number, &self.children[number]))
    }

    /// Walks the object that `value` is, and calls `each` for every value below that was asked for.
    /// Of keys that are alike but for case the first counts.
    pub(super) fn walk<'a>(&self, value: Value<'a>, each: &mut impl Visit<'a>) {
        visit(self, value, each);
        if !self.children.is_empty() && value.first() == b'{' {
            self.walk_object(value, each);
        }
    }

    fn walk_object<'a>(&self, value: Value<'a>, each: &mut impl Visit<'a>) {
        let mut seen = Seen::default();
        let mut left = self.children.len();
        for (key, span) in Members::at(value.text, value.span.start as usize) {
            let Some((index, node)) = self.find(value.text, key) else {
                continue;
            };
            if !seen.insert(index) {
                continue;
            }
            let text = value.text;
            let value = Value { text, span };
            visit(node, value, each);
            if !node.children.is_empty() && value.first() == b'{' {
                node.walk_object(value, each);
            }
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
    }
}

/// Is called with a node, the record's text, and where in it the node's value starts and ends and whether
/// it has escapes: one by one, as a struct would go through memory, and the processor would wait for it.
pub(super) trait Visit<'a>: FnMut(&Node, &'a str, u32, u32, bool) {}

impl<'a, F: FnMut(&Node, &'a str, u32, u32, bool)> Visit<'a> for F {}

#[inline(always)]
fn visit<'a>(node: &Node, value: Value<'a>, each: &mut impl Visit<'a>) {
    let Span {
        start,
        end,
        escaped,
    } = value.span;
    each(node, value.text, start, end, escaped);
}

/// Numbers that were there before; more than the widest object of the catalog has.
#[derive(Default)]
struct Seen([u64; 8]);

impl Seen {
    /// Tells whether the number is new. Numbers past the set's size always are.
    fn insert(&mut self, number: usize) -> bool {
        let Some(word) = self.0.get_mut(number / 64) else {
            return true;
        };
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
