//! Which parts of a record go where: the paths that are asked for, as a tree of keys.

use super::value::Value;
use crate::json::{Members, Span};

/// What happens with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It becomes a cell of this column of the batch.
    Column(usize),
    /// It is noted here, for a derived column.
    Note(usize),
}

/// The keys below one key that anybody asked for.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Lengths of the children's keys, a bit each: most keys of a record are told apart by that alone.
    lengths: u64,
    children: Vec<Child>,
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Child {
    /// As CloudTrail spells it.
    key: String,
    node: Node,
}

impl Node {
    /// Asks for `path`.
    pub(super) fn add(&mut self, path: &str, target: Target) {
        let mut node = self;
        for key in path.split('.') {
            node = node.child(key);
        }
        node.targets.push(target);
    }

    fn child(&mut self, key: &str) -> &mut Node {
        let known = |child: &Child| child.key.eq_ignore_ascii_case(key);
        let index = match self.children.iter().position(known) {
            Some(index) => index,
            None => {
                self.lengths |= length_bit(key.len());
                self.children.push(Child {
                    key: key.to_owned(),
                    node: Node::default(),
                });
                self.children.len() - 1
            }
        };
        &mut self.children[index].node
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
    #[inline]
    pub(super) fn find(&self, text: &str, key: Span) -> Option<(usize, &Node)> {
        if key.escaped {
            let key = crate::json::unescape(key.raw(text));
            return self.find_key(key.as_bytes());
        }
        let bytes = &text.as_bytes()[key.start as usize..key.end as usize];
        self.find_key(bytes)
    }

    #[inline]
    fn find_key(&self, key: &[u8]) -> Option<(usize, &Node)> {
        if self.lengths & length_bit(key.len()) == 0 {
            return None;
        }
        let same = |child: &Child| child.key.as_bytes().eq_ignore_ascii_case(key);
        let index = self.children.iter().position(same)?;
        Some((index, &self.children[index].node))
    }

    /// Walks the object that `value` is, and calls `each` for every value below that was asked for.
    /// Of keys that are alike but for case the first counts.
    pub(super) fn walk<'a>(&self, value: Value<'a>, each: &mut impl FnMut(&Node, Value<'a>)) {
        each(self, value);
        if self.children.is_empty() || value.first() != b'{' {
            return;
        }
        let mut seen = 0_u128;
        let mut left = self.children.len();
        for (key, span) in Members::at(value.text, value.span.start as usize) {
            let Some((index, node)) = self.find(value.text, key) else {
                continue;
            };
            let bit = 1_u128.checked_shl(index as u32).unwrap_or(0);
            if seen & bit != 0 {
                continue;
            }
            seen |= bit;
            let text = value.text;
            node.walk(Value { text, span }, each);
            left -= 1;
            // Past 128 children a key may be counted twice, so all of the object is looked at.
            if left == 0 && self.children.len() <= 128 {
                break;
            }
        }
    }
}

fn length_bit(length: usize) -> u64 {
    1 << (length & 63)
}
