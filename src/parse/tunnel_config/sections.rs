//! Files of sections and `key = value`: INI, and of TOML what configurations use.
//!
//! Lenient: a line that is neither is passed over. `[a.b]` lies below `a`, `[[a]]`
//! begins another item of the list `a`, `a.b = 1` is `b` below `a`. Values lose their
//! quotes and comments; `[x, y]` is a list. What stands in `"""` is not understood.

use super::outline::{Content, Node};

/// Lines looked at.
const MAX_LINES: usize = 20_000;
/// Parts of a dotted name.
const MAX_PARTS: usize = 8;

/// The tree of the text, and whether it has a `key = value` at all.
pub(super) fn read(text: &str) -> Option<Node> {
    let mut root = Node { line: 1, content: Content::Map(Vec::new()) };
    let mut section: Vec<String> = Vec::new();
    let mut any = false;
    for (number, line) in (1..).zip(text.lines().take(MAX_LINES)) {
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = header(&mut root, name, number);
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = unquoted(key.trim());
        if key.is_empty() || key.contains(['{', '<', '(']) {
            continue;
        }
        any = true;
        let mut path = section.clone();
        path.extend(parts(key));
        insert(&mut root, &path, number, value_of(value.trim(), number));
    }
    any.then_some(root)
}

/// The path of a section; of a list, a fresh item of it is begun.
fn header(root: &mut Node, name: &str, line: u64) -> Vec<String> {
    let listed = name.starts_with('[');
    let name = name.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
    // frp's `[range:ports]` and names with blanks are one name.
    let path = if name.contains([':', ' ']) { vec![name.to_owned()] } else { parts(name) };
    let node = place(root, &path, line);
    if let Some(node) = node {
        if listed {
            let fresh = Node { line, content: Content::Map(Vec::new()) };
            match &mut node.content {
                Content::List(items) => items.push(fresh),
                content => *content = Content::List(vec![fresh]),
            }
        } else if !matches!(node.content, Content::Map(_)) {
            node.content = Content::Map(Vec::new());
        }
    }
    path
}

fn parts(name: &str) -> Vec<String> {
    name.split('.').take(MAX_PARTS).map(|part| unquoted(part.trim()).to_owned()).collect()
}

fn insert(root: &mut Node, path: &[String], line: u64, value: Node) {
    if let Some(node) = place(root, path, line) {
        *node = value;
    }
}

/// The node of that path, made if there is none; in a list, below its last item.
fn place<'a>(node: &'a mut Node, path: &[String], line: u64) -> Option<&'a mut Node> {
    let Some((name, rest)) = path.split_first() else { return Some(node) };
    let node = if matches!(node.content, Content::List(_)) {
        let Content::List(items) = &mut node.content else { return None };
        items.last_mut()?
    } else {
        node
    };
    if !matches!(node.content, Content::Map(_)) {
        node.content = Content::Map(Vec::new());
    }
    let Content::Map(entries) = &mut node.content else { return None };
    let at = match entries.iter().position(|(key, _)| key == name) {
        Some(at) => at,
        None => {
            entries.push((name.clone(), Node { line, content: Content::Empty }));
            entries.len().checked_sub(1)?
        }
    };
    place(&mut entries.get_mut(at)?.1, rest, line)
}

fn value_of(text: &str, line: u64) -> Node {
    if let Some(list) = text.strip_prefix('[').and_then(|t| t.split(']').next()) {
        let items = list.split(',').map(|item| scalar(item.trim(), line));
        return Node { line, content: Content::List(items.collect()) };
    }
    scalar(text, line)
}

fn scalar(text: &str, line: u64) -> Node {
    let text = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text.split(quote).nth(1).unwrap_or_default(),
        _ => text.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default(),
    };
    let text = text.trim();
    let content = if text.is_empty() { Content::Empty } else { Content::Scalar(text.to_owned()) };
    Node { line, content }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ini_and_toml_are_trees() {
        let ini =
            read("[common]\nserver_addr = 1.2.3.4 ; far\n\n[range:p]\nlocal_port=1-3\n").unwrap();
        assert_eq!(ini.get("common").unwrap().text("server_addr"), Some("1.2.3.4"));
        assert_eq!(ini.get("range:p").unwrap().text("local_port"), Some("1-3"));
        let toml = read(
            "a.b = \"x # y\" # c\n[[p]]\nn = 'one'\n[p.q]\nz = 1\n[[p]]\nn = 'two'\nd = [\"u\", 'v']\n",
        )
        .unwrap();
        assert_eq!(toml.get("a").unwrap().text("b"), Some("x # y"));
        let items = toml.get("p").unwrap().items();
        assert_eq!(items.iter().map(|i| i.text("n").unwrap()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(items[0].get("q").unwrap().text("z"), Some("1"));
        assert_eq!(items[1].get("d").unwrap().texts(), ["u", "v"]);
        assert_eq!(items[1].line, 6);
        assert!(read("just text\n- a: b\n").is_none());
    }
}
