//! Addresses of the web, taken apart no further than records need.

/// The host that an address names, without user and port: `a.example` of
/// `https://user@a.example:8443/x`; `None` where no `//` introduces one.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let name = authority.rsplit('@').next()?;
    let name = match name.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => name.split(':').next()?,
    };
    (!name.is_empty()).then_some(name)
}

/// Every address of the web that stands in a text, in order, at most `limit`.
pub(crate) fn addresses(text: &str, limit: usize) -> Vec<&str> {
    const SCHEMES: [&str; 3] = ["http://", "https://", "ftp://"];
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < limit {
        let Some(at) = SCHEMES.iter().filter_map(|scheme| rest.find(scheme)).min() else { break };
        let from = rest.get(at..).unwrap_or_default();
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'<>|`".contains(c);
        let url = from.split(ends).next().unwrap_or_default();
        rest = from.get(url.len()..).unwrap_or_default();
        let url = url.trim_end_matches(['.', ',', ';', ')', ']']);
        if host(url).is_some() {
            found.push(url);
        }
    }
    found
}

/// The path that a `file:` address means, in the notation of its system; other text as it is.
pub(crate) fn path_of(url: &str) -> String {
    let Some(rest) = url.strip_prefix("file://") else { return url.to_owned() };
    let path = decoded(rest);
    let local = path.strip_prefix('/').filter(|p| p.as_bytes().get(1) == Some(&b':'));
    match local {
        Some(windows) => windows.replace('/', "\\"),
        None if path.starts_with('/') => path,
        None => format!("\\\\{}", path.replace('/', "\\")),
    }
}

/// A text with its percent codes decoded.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_addresses() {
        for (url, expected) in [
            ("https://bin.equinox.io/c/x.zip", Some("bin.equinox.io")),
            ("http://user:pw@a.example:8080?x", Some("a.example")),
            ("http://[::1]:4040/inspect", Some("::1")),
            ("about:internet", None),
            ("https:///x", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn addresses_in_a_sentence() {
        let text = "from 'https://a.example/x.zip' (see http://b.example/).";
        assert_eq!(addresses(text, 9), ["https://a.example/x.zip", "http://b.example/"]);
        assert_eq!(addresses(text, 1).len(), 1);
        assert!(addresses("https://", 9).is_empty());
    }

    #[test]
    fn paths_of_addresses() {
        for (url, expected) in [
            ("file:///C:/Users/Zo%C3%AB/a%20b.zip", r"C:\Users\Zoë\a b.zip"),
            ("file:///home/a/b.zip", "/home/a/b.zip"),
            ("file://server/share/b.zip", r"\\server\share\b.zip"),
            (r"C:\100%.zip", r"C:\100%.zip"),
            ("file:///tmp/100%", "/tmp/100%"),
        ] {
            assert_eq!(path_of(url), expected, "{url}");
        }
    }
}
