//! Reads what follows a key: separators, quotes, options and the secret itself.

use super::{Span, TokenKind, is_option, is_redacted};

/// Bytes of a secret that are looked for its end.
const MAX_SECRET_BYTES: usize = 4096;
/// Entries of a list of user names and passwords.
const MAX_LIST_ITEMS: usize = 64;
/// Options skipped between a command and its secret.
const MAX_OPTIONS: usize = 8;

/// What a bare value ends at, besides white space and quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Space,
    /// Also at anything that no token holds.
    Token,
}

/// A place in a text.
pub(super) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, literal: &str) -> bool {
        let here = self.rest().starts_with(literal);
        if here {
            self.at = self.at.saturating_add(literal.len());
        }
        here
    }

    /// Skips blanks; whether there were any.
    fn blanks(&mut self) -> bool {
        let n = self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.at = self.at.saturating_add(n);
        n > 0
    }

    /// The quote here, with the backslashes that escape it, and steps over it.
    fn quote(&mut self) -> Option<String> {
        let rest = self.rest();
        let slashes = rest.bytes().take(8).take_while(|b| *b == b'\\').count();
        let after = rest.get(slashes..).unwrap_or_default();
        let mark =
            ["\"", "'", "`", "&quot;", "&#34;"].into_iter().find(|q| after.starts_with(q))?;
        let quote = rest.get(..slashes.saturating_add(mark.len()))?.to_owned();
        self.at = self.at.saturating_add(quote.len());
        Some(quote)
    }

    /// Steps over `:` or `=` (after a closing quote, within blanks); whether there was one.
    fn separator(&mut self) -> bool {
        let start = self.at;
        self.quote();
        self.blanks();
        if self.eat(":=") || self.eat("=>") || self.eat(":") || self.eat("=") {
            self.blanks();
            return true;
        }
        self.at = start;
        false
    }

    /// Steps over what parts an option from its value on a command line.
    fn gap(&mut self) -> bool {
        let start = self.at;
        let quoted = self.quote().is_some();
        let mut parted = self.blanks();
        if quoted {
            parted |= self.eat(",");
            self.blanks();
        }
        if !parted {
            self.at = start;
        }
        parted
    }

    /// The value after a key; the blank alone parts it only from an option.
    pub(super) fn value(&mut self, option: bool, ends: Ends) -> Option<(usize, usize)> {
        if !(self.separator() || option && self.gap()) {
            return None;
        }
        self.eat("["); // a list on one line: its first entry
        let (start, end) = self.word(ends);
        (start < end).then_some((start, end))
    }

    /// The word here, without its quotes.
    pub(super) fn word(&mut self, ends: Ends) -> (usize, usize) {
        if let Some(quote) = self.quote() {
            let start = self.at;
            let limit = floor(self.text, start.saturating_add(MAX_SECRET_BYTES));
            let inside = self.text.get(start..limit).unwrap_or_default();
            let line = inside.split(['\n', '\r']).next().unwrap_or_default();
            let end = start.saturating_add(line.find(&quote).unwrap_or(line.len()));
            self.at = end.saturating_add(quote.len()).min(self.text.len());
            return (start, end);
        }
        let start = self.at;
        let limit = floor(self.text, start.saturating_add(MAX_SECRET_BYTES));
        let inside = self.text.get(start..limit).unwrap_or_default();
        let stops = |c: char| match ends {
            Ends::Space => c.is_whitespace() || c.is_control() || "\"'`<>".contains(c),
            Ends::Token => !(c.is_alphanumeric() || "_-.+/=…:".contains(c)),
        };
        let mut end = start.saturating_add(inside.find(stops).unwrap_or(inside.len()));
        let value = self.text.get(start..end).unwrap_or_default();
        end = start.saturating_add(value.trim_end_matches([',', ';', ')', ']', '}', '&']).len());
        self.at = end;
        (start, end)
    }

    /// The word after the next one, unless it is an option or asks for input.
    pub(super) fn second_word(&mut self) -> Option<(usize, usize)> {
        self.blanks();
        let (start, end) = self.word(Ends::Space);
        if start == end || !self.gap() {
            return None;
        }
        let (start, end) = self.word(Ends::Space);
        let word = self.text.get(start..end).unwrap_or_default();
        (start < end && !word.starts_with(['/', '*', '>', '|', '&'])).then_some((start, end))
    }

    /// The value after an option that may have no blank or another option in front.
    pub(super) fn plain_value(&mut self) -> Option<(usize, usize)> {
        for _ in 0..MAX_OPTIONS {
            self.gap();
            let (start, end) = self.word(Ends::Space);
            let word = self.text.get(start..end).unwrap_or_default();
            if word.starts_with('-') && word.len() > 1 {
                continue;
            }
            return (start < end && !word.starts_with(['$', '(', '|', ')']))
                .then_some((start, end));
        }
        None
    }

    /// The token after its key.
    pub(super) fn token_value(&mut self, before: &str, kind: TokenKind) -> Option<(usize, usize)> {
        if self.separator() {
            let (start, end) = self.word(Ends::Token);
            return (start < end).then_some((start, end));
        }
        let tail = before.get(floor(before, before.len().saturating_sub(8))..).unwrap_or_default();
        let tail = tail.to_ascii_lowercase();
        let named = ["add-", "ngrok_"].iter().any(|p| tail.ends_with(p)) || is_option(before);
        let command = kind == TokenKind::Authtoken
            && [".exe ", ".exe\" ", "ngrok "].iter().any(|p| tail.ends_with(p));
        if !self.gap() {
            return None;
        }
        for _ in 0..MAX_OPTIONS {
            let (start, end) = self.word(Ends::Space);
            let word = self.text.get(start..end).unwrap_or_default();
            if word.starts_with("--") || word.starts_with('-') && word.len() > 1 {
                let has_value = word.contains('=');
                let takes_value = word.trim_start_matches('-').starts_with("config")
                    || word.trim_start_matches('-').starts_with("log");
                if !self.gap() {
                    return None;
                }
                if takes_value && !has_value {
                    self.word(Ends::Space);
                    if !self.gap() {
                        return None;
                    }
                }
                continue;
            }
            // What ends a sentence or a clause behind a token is none of it.
            let bare = word.trim_end_matches([':', ',', ';', '.', ')']);
            let end = if looks_random(bare) { start.saturating_add(bare.len()) } else { end };
            let fits = named || command || looks_random(bare);
            return (fits && start < end).then_some((start, end));
        }
        None
    }

    /// `user:password` after its key, or a list of them.
    pub(super) fn logins(&mut self, option: bool, found: &mut Vec<Span>) {
        if !(self.separator() || option && self.gap()) {
            return;
        }
        let bracket = self.eat("[");
        let mut list = bracket;
        for _ in 0..MAX_LIST_ITEMS {
            let here = self.at;
            while self.blanks() || ["\r", "\n", "\\r\\n", "\\n"].iter().any(|e| self.eat(e)) {}
            let lines =
                self.text.get(here..self.at).is_some_and(|t| t.contains('n') || t.contains('\n'));
            if lines && !bracket {
                if !self.eat("-") || !self.blanks() {
                    return;
                }
                list = true;
            }
            let (start, end) = self.word(Ends::Space);
            if start < end {
                found.push(Span { start, end, login: true, token: None });
            }
            if !list || start == end {
                return;
            }
            if bracket {
                self.blanks();
                if !self.eat(",") {
                    return;
                }
            }
        }
    }

    /// The password of `scheme://user:password@host`, the cursor behind the slashes.
    pub(super) fn userinfo(&self) -> Option<(usize, usize)> {
        const LONGEST: usize = 512;
        let start = self.at;
        let limit = floor(self.text, start.saturating_add(LONGEST));
        let inside = self.text.get(start..limit).unwrap_or_default();
        let end = inside.find(|c: char| c.is_whitespace() || "/\\\"'<>?#".contains(c));
        let authority = inside.get(..end.unwrap_or(inside.len()))?;
        let (login, _) = authority.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let from = start.saturating_add(user.len()).saturating_add(1);
        (!password.is_empty()).then_some((from, from.saturating_add(password.len())))
    }
}

/// Whether a bare word after `authtoken` can be a token rather than prose.
fn looks_random(word: &str) -> bool {
    const SHORTEST: usize = 12;
    let digits = word.bytes().any(|b| b.is_ascii_digit());
    word.len() >= SHORTEST && digits && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        || is_redacted(word)
}

/// The character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}
