//! A configuration as a tree, also where it is no valid YAML.
//!
//! [`Outline::read`] takes what the YAML library makes of the text; if it refuses,
//! a line reader that knows only indentation, dashes and `key: value` sees what a
//! person would. The line reader runs in any case: it alone knows the lines.

use yaml_serde::Value;

/// Levels below the root.
const MAX_DEPTH: usize = 32;
/// Entries of a whole tree.
const MAX_NODES: usize = 20_000;
/// Opening brackets that the library gets to see: its time grows with their depth.
const MAX_BRACKETS: usize = 1000;

/// A value and the line (from 1) it begins on; line 0 is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::parse) struct Node {
    pub line: u64,
    pub content: Content,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::parse) enum Content {
    #[default]
    Empty,
    Scalar(String),
    /// In the source's order.
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
}

impl Node {
    fn scalar(text: &str, line: u64) -> Self {
        let content =
            if text.is_empty() { Content::Empty } else { Content::Scalar(text.to_owned()) };
        Self { line, content }
    }

    /// The value under `key`, if this is a mapping that has it.
    pub(in crate::parse) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, _)| k == key).map(|(_, node)| node)
    }

    /// The text under `key`.
    pub(in crate::parse) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    pub(in crate::parse) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping, else none.
    pub(in crate::parse) fn entries(&self) -> &[(String, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list, else none.
    pub(in crate::parse) fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar or of every item of a list of scalars.
    pub(in crate::parse) fn texts(&self) -> Vec<&str> {
        match self.as_text() {
            Some(text) => vec![text],
            None => self.items().iter().filter_map(Self::as_text).collect(),
        }
    }
}

/// A text's tree.
pub(in crate::parse) struct Outline {
    pub root: Node,
    pub valid_yaml: bool,
}

impl Outline {
    /// The tree of `text`; never fails, at worst it is empty.
    pub(in crate::parse) fn read(text: &str) -> Self {
        let lines = by_lines(text);
        let brackets = text.bytes().filter(|b| matches!(b, b'[' | b'{')).count();
        let value = (brackets <= MAX_BRACKETS).then(|| yaml_serde::from_str::<Value>(text));
        match value {
            Some(Ok(value)) => {
                let mut left = MAX_NODES;
                let root = from_value(&value, Some(&lines), 0, &mut left);
                Self { root, valid_yaml: true }
            }
            _ => Self { root: lines, valid_yaml: false },
        }
    }
}

/// The library's value, with the lines of the twin that the line reader saw.
fn from_value(value: &Value, twin: Option<&Node>, depth: usize, left: &mut usize) -> Node {
    let line = twin.map_or(0, |twin| twin.line);
    *left = left.saturating_sub(1);
    if depth > MAX_DEPTH || *left == 0 {
        return Node { line, content: Content::Empty };
    }
    let mut below = |value: &Value, twin: Option<&Node>| from_value(value, twin, depth + 1, left);
    let content = match value {
        Value::Null => Content::Empty,
        Value::Bool(b) => Content::Scalar(b.to_string()),
        Value::Number(n) => Content::Scalar(n.to_string()),
        Value::String(text) => Content::Scalar(text.clone()),
        Value::Sequence(items) => Content::List(
            items
                .iter()
                .enumerate()
                .map(|(n, item)| below(item, twin.and_then(|twin| twin.items().get(n))))
                .collect(),
        ),
        Value::Mapping(entries) => Content::Map(
            entries
                .iter()
                .filter_map(|(key, value)| {
                    let key = key_text(key)?;
                    let node = below(value, twin.and_then(|twin| twin.get(&key)));
                    Some((key, node))
                })
                .collect(),
        ),
        Value::Tagged(tagged) => return below(&tagged.value, twin),
    };
    Node { line, content }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// One `key: value`, `- value` or nested combination of a line.
struct Item<'a> {
    indent: usize,
    line: u64,
    dash: bool,
    key: Option<&'a str>,
    value: &'a str,
}

/// The tree that indentation alone shows.
fn by_lines(text: &str) -> Node {
    let mut items = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if items.len() >= MAX_NODES {
            break;
        }
        split_line(line, n as u64 + 1, &mut items);
    }
    let mut rest = items.as_slice();
    let mut root = Node { line: 1, content: Content::Empty };
    while let Some(first) = rest.first() {
        // A broken line can leave entries left of those before it: they join the root.
        let block = take_block(&mut rest, first.indent, 0);
        merge(&mut root, block);
    }
    root
}

fn merge(root: &mut Node, block: Node) {
    match (&mut root.content, block.content) {
        (Content::Map(all), Content::Map(more)) => all.extend(more),
        (Content::List(all), Content::List(more)) => all.extend(more),
        (Content::Empty, content) => root.content = content,
        _ => {}
    }
}

/// Takes the apart of one line: `- name: x` is a dash and a key two columns on.
fn split_line<'a>(line: &'a str, number: u64, items: &mut Vec<Item<'a>>) {
    let mut rest = line.trim_start_matches('\u{feff}');
    let mut indent = 0usize;
    for _ in 0..MAX_DEPTH {
        let trimmed = rest.trim_start();
        indent = indent.saturating_add(rest.len().saturating_sub(trimmed.len()));
        if trimmed.is_empty() || trimmed.starts_with('#') || matches!(trimmed, "---" | "...") {
            return;
        }
        let dashed = trimmed == "-" || trimmed.starts_with("- ");
        if !dashed {
            let (key, value) = split_key(trimmed);
            items.push(Item { indent, line: number, dash: false, key, value });
            return;
        }
        let after = trimmed.get(1..).unwrap_or_default();
        items.push(Item { indent, line: number, dash: true, key: None, value: "" });
        indent = indent.saturating_add(1);
        rest = after;
    }
}

/// `key` and `value` of `key: value`, or no key.
fn split_key(text: &str) -> (Option<&str>, &str) {
    let text = without_comment(text);
    let found = match text.strip_suffix(':') {
        Some(key) if !key.contains(": ") => Some((key, "")),
        _ => text.split_once(": "),
    };
    match found {
        Some((key, value)) if !key.starts_with(['[', '{']) => {
            (Some(unquoted(key.trim())), value.trim())
        }
        _ => (None, text),
    }
}

/// The text up to a ` #` outside quotes.
fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => {
                return text.get(..at).unwrap_or_default().trim_end();
            }
            (None, '"' | '\'') if before.is_whitespace() || before == '[' => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
        before = c;
    }
    text.trim_end()
}

fn unquoted(text: &str) -> &str {
    let inside = |mark| text.strip_prefix(mark).and_then(|t: &str| t.strip_suffix(mark));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// Takes the items at `indent` and what hangs below them.
fn take_block(rest: &mut &[Item<'_>], indent: usize, depth: usize) -> Node {
    let Some(first) = rest.first() else { return Node::default() };
    let line = first.line;
    let mut list = Vec::new();
    let mut map = Vec::new();
    let mut scalar = "";
    while let Some((item, after)) = rest.split_first() {
        if item.indent < indent {
            break;
        }
        *rest = after;
        if item.indent > indent && !item.dash && (item.key.is_none() || !map.is_empty()) {
            continue; // a stray line below a finished value
        }
        let inner = rest.first().filter(|next| match item.dash {
            true => next.indent > item.indent,
            false => next.indent > item.indent || next.indent == item.indent && next.dash,
        });
        let value = match inner.map(|next| next.indent) {
            Some(_) if depth >= MAX_DEPTH => Node::default(),
            Some(next) if item.value.is_empty() && (item.dash || item.key.is_some()) => {
                take_list_or_block(rest, item, next, depth)
            }
            _ => flow(item.value, item.line),
        };
        let value = Node { line: item.line, ..value };
        match (item.dash, item.key) {
            (true, _) => list.push(value),
            (false, Some(key)) => map.push((key.to_owned(), value)),
            (false, None) => scalar = item.value,
        }
    }
    let content = match (map.is_empty(), list.is_empty()) {
        (false, _) => Content::Map(map),
        (true, false) => Content::List(list),
        (true, true) => flow(scalar, line).content,
    };
    Node { line, content }
}

/// What hangs below `item`: a block further right, or dashes at its own column.
fn take_list_or_block(rest: &mut &[Item<'_>], item: &Item<'_>, next: usize, depth: usize) -> Node {
    if next > item.indent {
        return take_block(rest, next, depth + 1);
    }
    // The dashes of this key end where its sisters go on.
    let dashes = rest.iter().take_while(|i| i.indent > next || i.indent == next && i.dash).count();
    let (mut mine, after) = rest.split_at(dashes);
    let node = take_block(&mut mine, next, depth + 1);
    *rest = after;
    node
}

/// A value on one line: a scalar, `[a, b]` or `{a: b, c: d}` without further nesting.
fn flow(text: &str, line: u64) -> Node {
    let text = text.trim();
    if let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let items = inside.split(',').map(|t| Node::scalar(unquoted(t.trim()), line)).collect();
        return Node { line, content: Content::List(items) };
    }
    if let Some(inside) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        let entry = |t: &str| {
            let (key, value) = t.split_once(':')?;
            Some((unquoted(key.trim()).to_owned(), Node::scalar(unquoted(value.trim()), line)))
        };
        let entries = inside.split(',').filter_map(entry).collect();
        return Node { line, content: Content::Map(entries) };
    }
    Node::scalar(unquoted(text), line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_agree_on_plain_yaml() {
        let text = "# c\nversion: \"3\"\nagent:\n  authtoken: abc # mine\n  list: [a, 'b']\nendpoints:\n- name: x\n  upstream:\n    url: 3389\n- name: y\n  basic:\n  - p:q\n  - r\nlast: 1\n";
        let lines = by_lines(text);
        let yaml = Outline::read(text);
        assert!(yaml.valid_yaml);
        assert_eq!(lines, yaml.root);
        let second = lines.get("endpoints").unwrap().items()[1].clone();
        assert_eq!((second.line, second.text("name")), (10, Some("y")));
    }

    #[test]
    fn a_broken_line_does_not_hide_the_rest() {
        let text = "version: \"2\"\n\t bad: [unclosed\nauthtoken: abc\ntunnels:\n  rdp:\n    proto: tcp\n    addr: 3389\n";
        let outline = Outline::read(text);
        assert!(!outline.valid_yaml);
        assert_eq!(outline.root.text("authtoken"), Some("abc"));
        let rdp = outline.root.get("tunnels").and_then(|t| t.get("rdp")).unwrap();
        assert_eq!((rdp.line, rdp.text("addr")), (5, Some("3389")));
    }

    #[test]
    fn hostile_nesting_ends() {
        by_lines(&"- ".repeat(50_000));
        for part in ["- ", "? ", "{", "[", "{a: ", "&a ", "\"", "a: b\n", "--- ", "a: &a\n"] {
            Outline::read(&part.repeat(20_000));
        }
        Outline::read(&format!("{}{}", "[".repeat(MAX_BRACKETS), "a, ".repeat(20_000)));
        let deep: String = (0..5000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        Outline::read(&deep);
        Outline::read(&"[".repeat(100_000));
        Outline::read(
            "a: &a [x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n",
        );
    }
}
