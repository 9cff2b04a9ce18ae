//! The paths of a projection as a tree of keys, and the walk of a record along it.

use super::keys::Keys;
use super::response::{RESPONSE, wrapped_result};
use super::value::Value;
use crate::json::{Member, Members, Span};

/// The destination of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A cell of the column with this builder.
    Cell(usize),
    /// This slot of the captures, for derived columns.
    Capture(usize),
}

/// A key of the tree, with the keys below it.
#[derive(Debug, Default)]
pub(super) struct Node {
    keys: Keys,
    /// Nodes by the numbers of their keys.
    children: Vec<Node>,
    targets: Vec<Target>,
    /// Whether values of this key are responses, of which the result may be wrapped.
    is_response: bool,
}

impl Node {
    /// Adds `path`.
    pub(super) fn add(&mut self, path: &str, target: Target) {
        let mut node = self;
        for key in path.split('.') {
            let number = node.keys.add(key);
            if number == node.children.len() {
                node.children.push(Node {
                    is_response: key == RESPONSE,
                    ..Node::default()
                });
            }
            node = &mut node.children[number];
        }
        node.targets.push(target);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Returns whether there are paths below this one, so that an object is expected.
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns number and node of the child for a key, ignoring case.
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

    /// Walks a record along the tree: calls `each` for every value that has a node.
    #[inline]
    pub(super) fn walk_record<'a>(
        &self,
        text: &'a str,
        members: &[Member],
        each: &mut impl Visit<'a>,
    ) {
        for member in members {
            if let Some((_, node)) = self.find(text, member.key) {
                let span = member.value;
                node.walk(Value { text, span }, each);
            }
        }
    }

    /// Calls `each` for `value` and every value below it that is in the tree. If keys of an object differ
    /// only in case, the first one wins. The members of a wrapped result count as the response's own.
    fn walk<'a>(&self, value: Value<'a>, each: &mut impl Visit<'a>) {
        visit(self, value, each);
        if !self.children.is_empty() && value.first() == b'{' {
            self.walk_object(value, each);
            let text = value.text;
            if self.is_response
                && let Some(span) = wrapped_result(text, value.span.start as usize)
            {
                self.walk_object(Value { text, span }, each);
            }
        }
    }

    fn walk_object<'a>(&self, value: Value<'a>, each: &mut impl Visit<'a>) {
        let mut seen = KeySet::default();
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

/// A callback for a node, the record's text, and the start, end and escapes of the node's value in it.
/// These are separate arguments as a struct would go through memory, and the processor would wait for it.
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

/// A set of numbers of keys; its size exceeds the widest object of the catalog.
#[derive(Default)]
struct KeySet([u64; 8]);

impl KeySet {
    /// Inserts a number and returns `true` if it is new. Numbers past the set's size always are.
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
