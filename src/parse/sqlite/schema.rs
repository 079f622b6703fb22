//! The tables of a database, from the statements that made them.

use super::number::Cell;

/// A table: where its rows begin and what its columns are called.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub(super) root: u32,
    columns: Vec<Column>,
    /// Column that stands for the row's number and is stored as null.
    pub(super) number: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    /// Its declared type, in upper case.
    kind: String,
    not_null: bool,
}

impl Table {
    /// The table that a row of the schema describes; `None` for anything else, and for
    /// tables whose rows have no number.
    pub(super) fn of_schema(row: &[Cell]) -> Option<Self> {
        let [Cell::Text(kind), Cell::Text(name), _, Cell::Integer(root), Cell::Text(sql), ..] = row
        else {
            return None;
        };
        let (_, rest) = sql.split_once('(')?;
        let (inside, tail) = rest.rsplit_once(')')?;
        if kind != "table" || tail.to_ascii_uppercase().contains("WITHOUT") {
            return None;
        }
        // Virtual tables have no pages.
        let root = u32::try_from(*root).ok().filter(|root| *root > 0)?;
        let mut table = Self { name: name.clone(), root, columns: Vec::new(), number: None };
        for part in parts(&without_comments(inside)) {
            table.add(part.trim());
        }
        Some(table)
    }

    /// Adds a column, or learns from a constraint which one is the row's number.
    fn add(&mut self, definition: &str) {
        let (name, rest) = word(definition);
        let rest = rest.to_ascii_uppercase();
        let quoted = !definition.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        match name.to_ascii_uppercase().as_str() {
            "CONSTRAINT" | "UNIQUE" | "CHECK" | "FOREIGN" if !quoted => return,
            "PRIMARY" if !quoted && rest.trim_start().starts_with("KEY") => {
                let key = definition.split_once('(').map_or("", |(_, key)| key);
                let column = word(key.trim()).0;
                let at = self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(&column));
                let is_number = |at: &usize| {
                    !key.contains(',') && self.columns.get(*at).is_some_and(|c| c.kind == "INTEGER")
                };
                self.number = self.number.or(at.filter(is_number));
                return;
            }
            _ => {}
        }
        let kind = rest.split_whitespace().next().unwrap_or_default().to_owned();
        if kind == "INTEGER" && rest.contains("PRIMARY KEY") {
            self.number = Some(self.columns.len());
        }
        self.columns.push(Column { name, kind, not_null: rest.contains("NOT NULL") });
    }

    /// The place of a column in a row; names are compared without case.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether a row of unknown origin can be one of this table's, by number and types of
    /// its values.
    pub(super) fn fits(&self, row: &[Cell]) -> bool {
        let fit = |(at, column): (usize, &Column)| match row.get(at) {
            None => false,
            Some(Cell::Null) => !column.not_null || self.number == Some(at),
            Some(_) if self.number == Some(at) => false,
            Some(Cell::Text(_)) => column.is_text() || column.kind.is_empty(),
            Some(Cell::Blob(_)) => !column.is_number(),
            Some(Cell::Integer(_)) => !column.is_text(),
            Some(Cell::Real(_)) => !column.is_text(),
        };
        row.len() == self.columns.len() && self.columns.iter().enumerate().all(fit)
    }
}

impl Column {
    fn is_text(&self) -> bool {
        ["CHAR", "TEXT", "CLOB"].iter().any(|part| self.kind.contains(part))
    }

    fn is_number(&self) -> bool {
        ["INT", "REAL", "BOOL", "DATE", "DOUB"].iter().any(|part| self.kind.contains(part))
    }
}

/// The first name of a definition without its quotes, and what follows it.
fn word(text: &str) -> (String, &str) {
    let close = match text.chars().next() {
        Some('"') => '"',
        Some('`') => '`',
        Some('\'') => '\'',
        Some('[') => ']',
        _ => {
            let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '$');
            let at = text.find(end).unwrap_or(text.len());
            let (name, rest) = text.split_at_checked(at).unwrap_or((text, ""));
            return (name.to_owned(), rest);
        }
    };
    let inside = text.get(1..).unwrap_or_default();
    inside.split_once(close).map_or((inside.to_owned(), ""), |(name, rest)| (name.to_owned(), rest))
}

/// What commas separate, outside of parentheses and quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut from) = (0usize, None, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth = depth.saturating_add(1),
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.extend(text.get(from..at));
                from = at.saturating_add(1);
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..).filter(|rest| !rest.trim().is_empty()));
    parts
}

/// The text without `-- …` and `/* … */`.
fn without_comments(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let text = lines.join("\n");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sql: &str) -> Option<Table> {
        let text = |t: &str| Cell::Text(t.to_owned());
        Table::of_schema(&[text("table"), text("t"), text("t"), Cell::Integer(2), text(sql)])
    }

    #[test]
    fn columns_and_the_rows_number() {
        let t = table(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, \"a b\" VARCHAR(3,4) NOT NULL, c DEFAULT 'x,y')",
        );
        let t = t.unwrap();
        assert_eq!((t.number, t.column("A B"), t.column("c")), (Some(0), Some(1), Some(2)));
        let t = table(
            "CREATE TABLE t([a] INT, -- text, (\n b INTEGER /* , */, PRIMARY KEY(\"b\" AUTOINCREMENT))",
        );
        let t = t.unwrap();
        assert_eq!((t.number, t.column("a"), t.column("b")), (Some(1), Some(0), Some(1)));
        let t = table("CREATE TABLE t(a GUID PRIMARY KEY, b INT, UNIQUE(a, b))").unwrap();
        assert_eq!((t.number, t.columns.len()), (None, 2));
        assert!(table("CREATE TABLE t(a) WITHOUT ROWID").is_none());
        assert!(table("CREATE TABLE t").is_none());
    }
}
