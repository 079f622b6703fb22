//! The words of commands, as shells part them: quotes hold words together, separators of
//! commands and PowerShell's commas part them, comments are left out.

/// The words of each command of the text, in its order; none is empty.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    // A comma parts words where a quote or a blank stands beside it.
    let mut after_quote = false;
    let mut in_variable = false;
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let closed = std::mem::take(&mut after_quote);
        if let Some(open) = quote {
            if c == open {
                quote = None;
                after_quote = true;
            } else {
                word.push(c);
            }
            continue;
        }
        // A comment goes on to the end of its line.
        if c == '#' && word.is_empty() {
            while chars.peek().is_some_and(|(_, c)| *c != '\n') {
                chars.next();
            }
            continue;
        }
        let ends_command = match c {
            '"' | '\'' if is_closed(text.get(at..).unwrap_or_default(), c) => {
                quote = Some(c);
                continue;
            }
            ';' | '|' | '&' | '\n' | '\r' | ')' => true,
            '{' if word.ends_with('$') => {
                in_variable = true;
                false
            }
            '}' if in_variable => {
                in_variable = false;
                false
            }
            '{' | '}' => true,
            _ => false,
        };
        let parts = match c {
            ',' => closed || next.is_none_or(|n| n.is_whitespace() || matches!(n, '"' | '\'')),
            '(' => true,
            c => c.is_whitespace(),
        };
        if !(ends_command || parts) {
            word.push(c);
            continue;
        }
        if c == '(' && word == "@" {
            word.clear();
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if ends_command && !words.is_empty() {
            all.push(std::mem::take(&mut words));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    if !words.is_empty() {
        all.push(words);
    }
    all
}

/// Whether the quote that the text begins with ends in its line; if not, it is an apostrophe.
fn is_closed(text: &str, quote: char) -> bool {
    text.chars().skip(1).take_while(|c| *c != '\n').any(|c| c == quote)
}
