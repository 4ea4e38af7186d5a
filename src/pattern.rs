//! Regular expressions of the flags; RE2 and Rust agree on all but corner cases, which are to come.
#[derive(Debug, Clone)]
pub struct Pattern {
    inner: regex::bytes::Regex,
    text: String,
}
impl Pattern {
    pub fn new(go: &str) -> Result<Self, String> {
        regex::bytes::RegexBuilder::new(go)
            .unicode(false)
            .build()
            .map(|inner| Self { inner, text: go.to_owned() })
            .map_err(|e| e.to_string())
    }
    pub fn anchored(go: &str) -> Result<Self, String> {
        Self::new(&format!("^(?:{go})$"))
    }
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.inner.is_match(text)
    }
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
