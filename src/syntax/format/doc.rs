//! Documents: what is to be printed, with the places where its lines may break.
//!
//! The algebra is Oppen's and Wadler's. A *group* is printed on one line where it fits there, and otherwise
//! breaks at each of its own lines; groups inside it decide for themselves. Nodes live in an arena, and each
//! knows its *flat width*, the length it has on one line, so that a decision costs no second walk. What
//! holds a hard line or a forced break has no finite flat width, and so all groups around it break.
//!
//! `f(a, b)` is `Group[ "f(" Indent[ Soft "a," Line "b" IfBreak(",", "") ] Soft ")" ]`.

use std::ops::Range;

/// Lines are at most so long, where that is possible.
pub const WIDTH: u32 = 120;
/// Columns of one level of indentation.
pub const INDENT: u32 = 4;
/// The flat width of what cannot stand on one line.
pub const ENDLESS: u32 = u32::MAX;

/// Index of a node in [`Docs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doc(u32);

#[derive(Clone, Debug)]
pub enum Node<'a> {
    Text(&'a str),
    /// A space, or the end of a line.
    Line,
    /// Nothing, or the end of a line.
    Soft,
    /// The end of a line, with an empty line below where `blank` says so.
    Hard {
        blank: bool,
    },
    /// A comment that is put at the end of the line, wherever that comes.
    Suffix(&'a str),
    /// A comment on a line of its own, which was begun.
    Comment(&'a str),
    /// The place for comments that found no room at the end of a line, if lines end here.
    Spill,
    /// Nothing; the groups around it break.
    Break,
    Concat(Range<u32>),
    /// Lines inside begin one level deeper.
    Indent(Doc),
    Group(Doc),
    /// A group that those before it do not expect to break.
    Tight(Doc),
    /// Contents and separators in turn; only those separators break behind which the next content does
    /// not fit.
    Fill(Range<u32>),
    /// By whether the group around it is broken.
    IfBreak {
        broken: Doc,
        flat: Doc,
    },
    /// By whether another group, printed before, was broken.
    IfBroken {
        group: Doc,
        broken: Doc,
        flat: Doc,
    },
    /// What follows a `=`: on the same line where it fits; whole on the next line where it fits there; and
    /// otherwise on the same line, broken.
    Follow(Doc),
}

/// The arena.
#[derive(Debug, Default)]
pub struct Docs<'a> {
    nodes: Vec<Node<'a>>,
    widths: Vec<u32>,
    children: Vec<Doc>,
}

impl<'a> Docs<'a> {
    pub fn node(&self, doc: Doc) -> &Node<'a> {
        &self.nodes[doc.0 as usize]
    }

    /// The length on one line.
    pub fn width(&self, doc: Doc) -> u32 {
        self.widths[doc.0 as usize]
    }

    pub fn children(&self, range: Range<u32>) -> &[Doc] {
        &self.children[range.start as usize..range.end as usize]
    }

    pub fn child(&self, index: u32) -> Doc {
        self.children[index as usize]
    }

    /// How many nodes there are; [`Docs::index`] is below it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn index(doc: Doc) -> usize {
        doc.0 as usize
    }

    fn push(&mut self, node: Node<'a>, width: u32) -> Doc {
        self.nodes.push(node);
        self.widths.push(width);
        Doc(self.nodes.len() as u32 - 1)
    }

    fn range(&mut self, docs: &[Doc]) -> (Range<u32>, u32) {
        let start = self.children.len() as u32;
        self.children.extend_from_slice(docs);
        let width = docs.iter().fold(0u32, |sum, doc| sum.saturating_add(self.width(*doc)));
        (start..self.children.len() as u32, width)
    }

    pub fn text(&mut self, text: &'a str) -> Doc {
        self.push(Node::Text(text), columns(text))
    }

    pub fn nothing(&mut self) -> Doc {
        self.text("")
    }

    pub fn line(&mut self) -> Doc {
        self.push(Node::Line, 1)
    }

    pub fn soft(&mut self) -> Doc {
        self.push(Node::Soft, 0)
    }

    pub fn hard(&mut self, blank: bool) -> Doc {
        self.push(Node::Hard { blank }, ENDLESS)
    }

    pub fn suffix(&mut self, comment: &'a str) -> Doc {
        self.push(Node::Suffix(comment), 0)
    }

    pub fn comment(&mut self, comment: &'a str) -> Doc {
        self.push(Node::Comment(comment), ENDLESS)
    }

    pub fn spill(&mut self) -> Doc {
        self.push(Node::Spill, 0)
    }

    pub fn force(&mut self) -> Doc {
        self.push(Node::Break, ENDLESS)
    }

    pub fn concat(&mut self, docs: &[Doc]) -> Doc {
        let (range, width) = self.range(docs);
        self.push(Node::Concat(range), width)
    }

    pub fn indent(&mut self, doc: Doc) -> Doc {
        let width = self.width(doc);
        self.push(Node::Indent(doc), width)
    }

    pub fn group(&mut self, doc: Doc) -> Doc {
        let width = self.width(doc);
        self.push(Node::Group(doc), width)
    }

    pub fn tight(&mut self, doc: Doc) -> Doc {
        let width = self.width(doc);
        self.push(Node::Tight(doc), width)
    }

    pub fn fill(&mut self, docs: &[Doc]) -> Doc {
        let (range, width) = self.range(docs);
        self.push(Node::Fill(range), width)
    }

    /// Text that is there only where the group around it is broken.
    pub fn if_break(&mut self, text: &'a str) -> Doc {
        let (broken, flat) = (self.text(text), self.nothing());
        self.push(Node::IfBreak { broken, flat }, 0)
    }

    /// A line's end where another group is broken, and otherwise a space.
    pub fn line_if_broken(&mut self, group: Doc) -> Doc {
        let (broken, flat) = (self.hard(false), self.text(" "));
        self.push(Node::IfBroken { group, broken, flat }, 1)
    }

    pub fn follow(&mut self, doc: Doc) -> Doc {
        let width = self.width(doc).saturating_add(1);
        self.push(Node::Follow(doc), width)
    }
}

/// How many columns a text takes.
pub fn columns(text: &str) -> u32 {
    let count = if text.is_ascii() { text.len() } else { text.chars().count() };
    u32::try_from(count).unwrap_or(ENDLESS)
}
