//! Tokens and passwords: what names an account, and what must not be shown.
//!
//! A token of the provider is `<27 base62>_<tail>`; its first part is a KSUID
//! (160 bits in base62, the first 32 are seconds since 2014-05-13T16:53:20Z) that
//! also is the credential's public id. Tokens of old accounts have a shorter
//! first part, which is no KSUID and tells no time.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::model::from_unix;
use cursor::{Cursor, Ends};

mod cursor;

/// Characters of a KSUID.
const KSUID_CHARS: usize = 27;
/// Seconds from 1970 to the KSUID epoch.
const KSUID_EPOCH: i64 = 1_400_000_000;
/// Characters after the `_`; 20 to 22 by the provider's documentation, a little
/// more is let pass so that no odd token stays readable.
const TAIL_CHARS: std::ops::RangeInclusive<usize> = 20..=24;
/// Hexadecimal digits of a fingerprint.
const FINGERPRINT_CHARS: usize = 8;
/// Rounds until nothing more is found (a replaced text can lay bare another).
const MAX_ROUNDS: usize = 4;

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// Lets an agent open tunnels in an account's name (`cr_…`).
    Authtoken,
    /// Lets its holder change the account (`ak_…`).
    ApiKey,
    /// Lets a connector of cloudflared serve one tunnel.
    Tunnel,
}

/// A token found in a text, without its secret part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// `cr_<27>` or `ak_<27>`; `sha256:<8 hex>` when it is no KSUID.
    pub id: String,
    /// When the provider made it (UTC, whole seconds); only a KSUID tells.
    pub minted: Option<Timestamp>,
    /// By the key it stands at; an authtoken where nothing says so.
    pub kind: TokenKind,
    /// The form that may be shown.
    pub redacted: String,
}

impl Token {
    /// The token of this text, whatever its form.
    pub fn new(secret: &str, kind: TokenKind) -> Self {
        let (id, minted) = match ksuid_of(secret) {
            Some(ksuid) => {
                let prefix = if kind == TokenKind::ApiKey { "ak" } else { "cr" };
                (format!("{prefix}_{ksuid}"), mint_time(ksuid))
            }
            None => (format!("sha256:{}", fingerprint(secret)), None),
        };
        Self { id, minted, kind, redacted: redacted(secret) }
    }

    /// The token that this stands for, in the form that may be shown.
    fn of_redacted(shown: &str, kind: TokenKind) -> Option<Self> {
        let (public, fingerprint) = shown.split_once(MARK)?;
        let plain = Self::new(&format!("{public}_{}", "0".repeat(*TAIL_CHARS.start())), kind);
        let id = if public.is_empty() { format!("sha256:{fingerprint}") } else { plain.id };
        Some(Self { id, redacted: shown.to_owned(), ..plain })
    }
}

/// What stands between a token's public part and the fingerprint of the whole.
const MARK: &str = "…sha256:";

/// Whether this is a token of today's shape and nothing else.
pub fn is_ksuid_token(text: &str) -> bool {
    ksuid_of(text).is_some()
}

/// The KSUID of a token that has exactly this shape.
fn ksuid_of(token: &str) -> Option<&str> {
    let (ksuid, tail) = token.split_once('_')?;
    let base62 = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
    (ksuid.len() == KSUID_CHARS
        && TAIL_CHARS.contains(&tail.len())
        && base62(ksuid)
        && base62(tail))
    .then_some(ksuid)
}

/// When a KSUID was made (UTC, whole seconds); `None` if it is none.
pub fn mint_time(ksuid: &str) -> Option<Timestamp> {
    if ksuid.len() != KSUID_CHARS {
        return None;
    }
    // 27 base62 digits into 160 bits, big endian, five words.
    let mut words = [0u32; 5];
    for byte in ksuid.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        let mut carry = u64::from(digit);
        for word in words.iter_mut().rev() {
            let value = u64::from(*word) * 62 + carry;
            *word = u32::try_from(value & 0xffff_ffff).ok()?;
            carry = value >> 32;
        }
        if carry != 0 {
            return None;
        }
    }
    from_unix(KSUID_EPOCH + i64::from(*words.first()?), 0)
}

/// The first eight hexadecimal digits of the SHA-256.
fn fingerprint(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// The form of a secret that may be shown; one already in that form stays.
pub fn redacted(secret: &str) -> String {
    if is_redacted(secret) {
        return secret.to_owned();
    }
    let shown = ksuid_of(secret).unwrap_or_default();
    format!("{shown}{MARK}{}", fingerprint(secret))
}

/// `user:password` with the password made unreadable; all of it without a colon.
pub fn redacted_login(login: &str) -> String {
    match login.split_once(':') {
        Some((user, password)) if !is_redacted(login) && !password.is_empty() => {
            format!("{user}:{}", redacted(password))
        }
        _ => redacted(login),
    }
}

/// Whether a secret was already replaced in this text, or in a part of it.
fn is_redacted(text: &str) -> bool {
    text.split(MARK).skip(1).any(|after| {
        let digits = after.bytes().take(FINGERPRINT_CHARS);
        after.len() >= FINGERPRINT_CHARS && digits.into_iter().all(|b| b.is_ascii_hexdigit())
    })
}

/// The text with every secret made unreadable: a token keeps its public part.
///
/// Found are tokens anywhere, and whatever stands after the options, keys and
/// variables that take a secret. Doing it twice changes nothing more.
///
/// # Limits
///
/// A secret's first 4096 bytes are replaced.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    let mut result = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        match redact_once(&result) {
            Some(changed) => result = Cow::Owned(changed),
            None => break,
        }
    }
    result
}

fn redact_once(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0usize;
    for span in spans(text) {
        if span.start < done {
            continue;
        }
        let secret = text.get(span.start..span.end).unwrap_or_default();
        let shown = if span.login { redacted_login(secret) } else { redacted(secret) };
        if shown == secret {
            continue;
        }
        out.push_str(text.get(done..span.start).unwrap_or_default());
        out.push_str(&shown);
        done = span.end;
    }
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

/// The tokens of a text, in order of appearance, each once; those that are no
/// KSUID only where the text says that they are tokens. A redacted one is known by what
/// is shown of it.
pub fn tokens_in(text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut done = 0usize;
    for span in spans(text) {
        let (Some(kind), true) = (span.token, span.start >= done) else { continue };
        let secret = text.get(span.start..span.end).unwrap_or_default();
        done = span.end;
        let tokens = match (is_redacted(secret), kind) {
            (true, _) => Token::of_redacted(secret, kind).into_iter().collect(),
            (false, TokenKind::Tunnel) => of_tunnel(secret),
            (false, _) => vec![Token::new(secret, kind)],
        };
        for token in tokens {
            if !found.iter().any(|t| t.id == token.id && t.kind == kind) {
                found.push(token);
            }
        }
    }
    found
}

/// The tunnel and the account that a token of cloudflared names: Base64 of
/// `{"a":"<account>","t":"<tunnel>","s":"<secret>"}` (github.com/cloudflare/cloudflared,
/// `connection.TunnelToken`).
fn of_tunnel(secret: &str) -> Vec<Token> {
    let named = || {
        let bytes = STANDARD_NO_PAD.decode(secret.trim_end_matches('=')).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let text = |key: &str| Some(json.get(key)?.as_str()?.to_owned());
        Some([text("t")?, format!("account {}", text("a")?)])
    };
    let token = |id: String| Token { id, ..Token::new(secret, TokenKind::Tunnel) };
    match named() {
        Some(ids) => ids.map(token).into(),
        None => vec![Token::new(secret, TokenKind::Tunnel)],
    }
}

/// Where a secret stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    /// `user:password`; only the password is secret.
    login: bool,
    token: Option<TokenKind>,
}

/// What takes a secret, and in which ways it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// `authtoken T`, `--authtoken T`, `authtoken: T`, `NGROK_AUTHTOKEN=T`.
    Token(TokenKind),
    /// `--password P`, `password: P`.
    Password,
    /// `-pw P`: an option only.
    Option,
    /// `--basic-auth user:P`, `basic_auth:` with a list below.
    Login,
    /// `-auth user:P`, `auth: user:P`, where there is a colon.
    LooseLogin,
    /// `scheme://user:P@host`.
    Url,
    /// `net user NAME P /add`.
    Account,
    /// `ConvertTo-SecureString P`, unless P is a variable.
    Plain,
    /// A token of cloudflared: Base64 of `{"a":"…`.
    Encoded,
}

const KEYS: &[(&str, Key)] = &[
    ("authtoken", Key::Token(TokenKind::Authtoken)),
    ("auth_token", Key::Token(TokenKind::Authtoken)),
    ("auth-token", Key::Token(TokenKind::Authtoken)),
    ("api_key", Key::Token(TokenKind::ApiKey)),
    ("api-key", Key::Token(TokenKind::ApiKey)),
    ("apikey", Key::Token(TokenKind::ApiKey)),
    ("password", Key::Password),
    ("passwd", Key::Password),
    ("tunnel_token", Key::Password),
    ("tunnelsecret", Key::Password),
    ("zrok_token", Key::Password),
    ("setup-key", Key::Password),
    ("authkey", Key::Password),
    ("auth-key", Key::Password),
    ("auth.token", Key::Password),
    ("vkey", Key::Password),
    ("-pw", Key::Option),
    ("-token", Key::Option),
    ("/pass", Key::Option),
    ("/rp", Key::Option),
    ("sshpass -p", Key::Plain),
    ("convertto-securestring", Key::Plain),
    ("net user ", Key::Account),
    ("net1 user ", Key::Account),
    ("net.exe user ", Key::Account),
    ("net1.exe user ", Key::Account),
    ("net.exe\" user ", Key::Account),
    ("net1.exe\" user ", Key::Account),
    ("basic_auth", Key::Login),
    ("basic-auth", Key::Login),
    ("-auth", Key::LooseLogin),
    ("auth:", Key::LooseLogin),
    ("://", Key::Url),
    ("eyJhIjoi", Key::Encoded),
];

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(KEYS.iter().map(|(literal, _)| literal))
        .ok()
});

/// All secrets, by start, the longer first; they may overlap.
fn spans(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    ksuid_spans(text, &mut found);
    if let Some(finder) = FINDER.as_ref() {
        for hit in finder.find_overlapping_iter(text) {
            if let Some((_, key)) = KEYS.get(hit.pattern().as_usize()) {
                key_spans(text, hit.start(), hit.end(), *key, &mut found);
            }
        }
    }
    found.retain(|span| span.start < span.end);
    // Of two readings of one place the one that names a token kind counts: the key's.
    found.sort_by_key(|s| (s.start, std::cmp::Reverse(s.end), s.token != Some(TokenKind::ApiKey)));
    found
}

/// Tokens by their shape alone, in clear and redacted.
fn ksuid_spans(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    for at in memchr::memmem::find_iter(bytes, MARK) {
        let before = bytes.get(..at).unwrap_or_default();
        let public =
            before.iter().rev().take(KSUID_CHARS + 1).take_while(|b| b.is_ascii_alphanumeric());
        let end = at.saturating_add(MARK.len()).saturating_add(FINGERPRINT_CHARS);
        if public.count() == KSUID_CHARS && is_redacted(text.get(at..end).unwrap_or_default()) {
            let (start, token) = (at - KSUID_CHARS, Some(TokenKind::Authtoken));
            found.push(Span { start, end, login: false, token });
        }
    }
    let alnum = |b: &&u8| b.is_ascii_alphanumeric();
    for at in memchr::memchr_iter(b'_', bytes) {
        let before = bytes.get(..at).unwrap_or_default();
        let after = bytes.get(at.saturating_add(1)..).unwrap_or_default();
        let head = before.iter().rev().take(KSUID_CHARS + 1).take_while(alnum).count();
        if head != KSUID_CHARS {
            continue;
        }
        let tail = after.iter().take(TAIL_CHARS.end() + 1).take_while(alnum).count();
        if TAIL_CHARS.contains(&tail) {
            found.push(Span {
                start: at - head,
                end: at + 1 + tail,
                login: false,
                token: Some(TokenKind::Authtoken),
            });
        }
    }
}

fn key_spans(text: &str, start: usize, end: usize, key: Key, found: &mut Vec<Span>) {
    let before = text.get(..start).unwrap_or_default();
    let mut cursor = Cursor { text, at: end };
    let plain = |at: Option<(usize, usize)>| {
        at.map(|(start, end)| Span { start, end, login: false, token: None })
    };
    match key {
        Key::Token(kind) => {
            let span = cursor.token_value(before, kind);
            found.extend(plain(span).map(|s| Span { token: Some(kind), ..s }));
        }
        Key::Password => {
            let option = is_option(before);
            found.extend(
                plain(cursor.value(option, Ends::Space)).filter(|s| !says_nothing(text, s)),
            );
        }
        Key::Option => {
            // The literal holds the last dash.
            if is_option(text.get(..start.saturating_add(1)).unwrap_or_default()) {
                found.extend(plain(cursor.value(true, Ends::Space)));
            }
        }
        Key::Login => cursor.logins(is_option(before), found),
        Key::LooseLogin => {
            let dash = text.get(start..end).is_some_and(|t| t.starts_with('-'));
            let option = dash && is_option(text.get(..start.saturating_add(1)).unwrap_or_default());
            if !dash {
                let word =
                    before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
                if word {
                    return;
                }
                cursor.at = cursor.at.saturating_sub(1); // the colon is the separator
            } else if !option {
                return;
            }
            let span = plain(cursor.value(option, Ends::Space));
            found.extend(span.filter(|s| is_login(text, s)).map(|s| Span { login: true, ..s }));
        }
        Key::Url => found.extend(plain(cursor.userinfo())),
        Key::Account => {
            let command = before.chars().next_back();
            if command.is_none_or(|c| c.is_whitespace() || "\\/\"'`&|(;".contains(c)) {
                found.extend(plain(cursor.second_word()));
            }
        }
        Key::Plain => found.extend(plain(cursor.plain_value())),
        Key::Encoded => {
            cursor.at = start;
            let (start, end) = cursor.word(Ends::Token);
            const SHORTEST: usize = 60;
            if end.saturating_sub(start) >= SHORTEST {
                let token = Some(TokenKind::Tunnel);
                found.push(Span { start, end, login: false, token });
            }
        }
    }
}

/// Whether what follows `before` is an option: one or two dashes or a slash at a word's start.
fn is_option(before: &str) -> bool {
    let word = before.trim_end_matches('-');
    let dashes = before.len() - word.len();
    let word = if dashes == 0 { word.strip_suffix('/') } else { Some(word) };
    word.is_some_and(|w| {
        w.chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'`([,;{=\\".contains(c))
    })
}

/// `password: true` and the like.
fn says_nothing(text: &str, span: &Span) -> bool {
    let value = text.get(span.start..span.end).unwrap_or_default();
    ["true", "false", "null", "nil", "none", "yes", "no"]
        .iter()
        .any(|w| w.eq_ignore_ascii_case(value))
}

/// `user:password`, not a URL and not a drive.
fn is_login(text: &str, span: &Span) -> bool {
    let value = text.get(span.start..span.end).unwrap_or_default();
    is_redacted(value)
        || value.split_once(':').is_some_and(|(user, password)| {
            !user.is_empty() && !password.is_empty() && !password.starts_with(['/', '\\'])
        })
}

#[cfg(test)]
mod tests;
