//! Regular expressions that mean what they mean to node_exporter: RE2 syntax as Go reads it, found anywhere in the text.
//!
//! The `regex` crate shares RE2's engine, but not all of its syntax: `\<` is a character to Go and the start of a word here, `[a&&b]`
//! three characters there and none here, `a**` refused there and taken here. So a pattern is read by Go's rules and written again in
//! the few forms that mean the same to both. All that counts is whether there is a match: groups lose their names and
//! repetitions their laziness on the way.
//!
//! Go matches characters and the engine matches bytes, without Unicode, in less than half the memory. The two meet in an alphabet
//! of one byte a character: ASCII is itself, and all characters beyond it that the pattern does not tell apart share a byte.
//! Nearly every text is ASCII and is matched as it is.
//!
//! What needs Unicode tables is refused, with its name: `\pL`, and `(?i)` with letters beyond ASCII.

mod alphabet;
mod translate;

use regex::bytes::{Regex, RegexBuilder};

use alphabet::Alphabet;
use translate::translate;

/// A regular expression as node_exporter reads it.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: Box<str>,
    alphabet: Alphabet,
    regex: Regex,
}

impl Pattern {
    /// Reads a pattern, or says in one line which pattern it is and what is wrong with it.
    pub fn new(go: &str) -> Result<Self, String> {
        Self::compile(go, go)
    }

    /// Like [`Pattern::new`], but the whole text has to match.
    pub fn anchored(go: &str) -> Result<Self, String> {
        Self::compile(go, &format!("^(?:{go})$"))
    }

    fn compile(written: &str, go: &str) -> Result<Self, String> {
        let compiled = translate(go).and_then(|(rust, alphabet)| {
            let regex = RegexBuilder::new(&rust).unicode(false).build();
            Ok(Self { written: written.into(), alphabet, regex: regex.map_err(|e| too_much(&e))? })
        });
        compiled.map_err(|reason| format!("`{written}`: {reason}").replace('\n', "\\n"))
    }

    /// Whether the pattern is found in the text. Only a text beyond ASCII costs an allocation.
    pub fn is_match(&self, text: &[u8]) -> bool {
        if text.is_ascii() {
            return self.regex.is_match(text);
        }
        self.regex.is_match(&self.alphabet.spell(text))
    }

    /// The pattern as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

/// What the translation lets through and `regex` does not take is only ever too large or too deeply nested.
fn too_much(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("takes more than {limit} bytes"),
        other => other
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns, texts that match and texts that do not, all confirmed by Go 1.26.
    #[test]
    fn matches() {
        for (pattern, yes, no) in [
            // the search is not anchored, and `$` is the end of the text
            ("", &["", "a"][..], &[][..]),
            ("b", &["abc"], &["", "ac"]),
            ("^$", &[""], &["a", "\n"]),
            ("^b$", &["b"], &["ab", "b\n", "a\nb"]),
            ("(?m)^b$", &["b", "a\nb\nc"], &["ab"]),
            (r"\Ab\z", &["b"], &["b\n", "ab"]),
            ("a.c", &["abc", "aéc", "a\u{fffd}c"], &["ac", "a\nc"]),
            ("(?s)a.c", &["a\nc"], &["ac"]),
            // what Rust would take for something else
            (r"\<a\>", &["<a>"], &["a"]),
            (r"\_\-\@\ \/", &["_-@ /"], &["_"]),
            ("^x{,5}$", &["x{,5}"], &["xxx"]),
            ("^a{$", &["a{"], &["a"]),
            ("^{}{01}{1$", &["{}{01}{1"], &[]),
            (r"^\Qa.b*\E+$", &["a.b*", "a.b***"], &["aXb*"]),
            (r"^\Q(a", &["(a"], &["a"]),
            (r"^\141\x62\x{63}\0\n\07$", &["abc\0\n\x07"], &["abc"]),
            ("^[a&&b]$", &["a", "&", "b"], &["a&&b", ""]),
            ("^[+--c]$", &["+", ",", "-", "c"], &["b", "."]),
            ("^[a~~b]$", &["a", "~", "b"], &[]),
            ("^[[a]$", &["[", "a"], &["]"]),
            ("^[[a]]$", &["[]", "a]"], &["a", "["]),
            ("^[]a]$", &["]", "a"], &[""]),
            ("^[^]a]$", &["b", "\n", "é"], &["]", "a"]),
            ("^[a-]$", &["a", "-"], &["b"]),
            (r"^[\d-z]$", &["5", "-", "z"], &["a"]),
            (r"^[\]\\\x41\-]$", &["]", "\\", "A", "-"], &["x"]),
            ("^[[:alpha:]_]$", &["a", "Z", "_"], &["1", "é", ":"]),
            ("^[^[:^alpha:]]$", &["a"], &["1"]),
            ("^[:alpha:]$", &["a", ":"], &["z"]),
            (r"^\s$", &[" ", "\t", "\n", "\x0c", "\r"], &["\x0b", "\u{a0}"]),
            ("^[[:space:]]$", &["\x0b"], &["a"]),
            (r"^\w\W\d\D$", &["a-1x", "_é0é"], &["é-1x", "a-٣x"]),
            (r"^[^\S\n]$", &[" "], &["\n", "a"]),
            (r"[^\w\W]", &[], &["", "a", "é"]),
            (r"\bb\b", &["a b c", "b", "éb"], &["ab", "b_"]),
            (r"a\Bb", &["ab"], &["a b"]),
            (r"\B", &["", "é"], &["a", "aéb"]),
            // groups and repetitions
            ("^(?:a|b)+(?P<n>c)(?<m_1>d)$", &["abcd"], &["cd", "abc"]),
            ("^(|a)b()$", &["b", "ab"], &["aab"]),
            ("^a+?b??c*?$", &["a", "aabcc"], &["", "abb"]),
            ("(?U)^a+$", &["aa"], &[""]),
            ("^a{2}b{1,}c{0,1}d{0}$", &["aab", "aabbc"], &["ab", "aabcc", "aabd"]),
            ("^(?:a{2}){2}$", &["aaaa"], &["aaa"]),
            ("^a+(?i)?$", &["", "aa"], &["b"]),
            ("^a{2}(?i)?B$", &["aab", "b"], &["ab"]),
            ("^*a", &["a", "ba"], &["b"]),
            // case
            ("(?i)^diSk[0-9a-c]$", &["DISK1", "diskB", "Dis\u{212a}1", "di\u{17f}k1"], &["diskd"]),
            ("(?i:a)b", &["Ab", "ab"], &["AB"]),
            ("(?i)a(?-i)b", &["Ab"], &["AB"]),
            ("(?i)a(?-i:b)c|d", &["AbC", "D"], &["ABC"]),
            ("a((?i)b)c", &["aBc"], &["aBC"]),
            ("(?i)^[^a]$", &["é", "b"], &["A", "a"]),
            ("(?i)^日$", &["日"], &["本"]),
            (r"(?i)^\w$", &["K", "\u{212a}"], &["é"]),
            (r"(?is)^.(?m)$", &["\n"], &[""]),
            // one character is one match, however many bytes
            ("^é$", &["é"], &["e", "è"]),
            ("^.$", &["é", "日"], &["", "éé"]),
            ("^..$", &["é日"], &["é"]),
            ("^[^a]$", &["é", "日"], &["a"]),
            ("^[à-ü]{2}$", &["éö"], &["e", "éa", "é"]),
            ("^[^à-ü日]$", &["本", "ÿ"], &["日", "é"]),
            (r"^[é日]\x{65e5}$", &["é日", "日日"], &["本日"]),
            ("^ab|日.é", &["日本é"], &["日é"]),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(compiled.as_str(), pattern);
            for text in yes {
                assert!(compiled.is_match(text.as_bytes()), "{pattern} in {text:?}");
            }
            for text in no {
                assert!(!compiled.is_match(text.as_bytes()), "{pattern} not in {text:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_characters() {
        for (pattern, text, expected) in [
            ("^.$", &b"\xff"[..], true),
            ("^..$", b"\xe6\x97", true),
            ("^[^a]{3}$", b"\xff\xc3\xa9\xc3", true),
            ("^a", b"a\xff", true),
            (r"^\x{fffd}$", b"\xff", true),
            (r"^\x{ff}$", b"\xff", false),
            (r"^\x{ff}$", b"\xc3\xbf", true),
            (r"\x{d800}", b"\xed\xa0\x80", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().is_match(text), expected, "{pattern}");
        }
    }

    #[test]
    fn refusals() {
        for (pattern, reason) in [
            ("(", "a group is not closed"),
            ("a)", "a `)` closes nothing"),
            ("[a", "a class is not closed: `[a`"),
            ("x[]", "a class is not closed: `[]`"),
            ("[z-a]", "a range runs backwards: `z-a`"),
            ("[a--c]", "a range runs backwards: `a--`"),
            (r"[a-\d]", r"unknown escape: `\d`"),
            ("[[:foo:]]", "unknown class: `[:foo:]`"),
            ("*", "nothing to repeat before `*`"),
            ("a|{2}", "nothing to repeat before `{2}`"),
            ("(?i)+", "nothing to repeat before `+`"),
            ("a**", "`*` repeats a repetition"),
            ("a+?+", "`+` repeats a repetition"),
            ("a{1001}", "a count beyond 1000, or backwards: `{1001}`"),
            ("a{2,1}", "a count beyond 1000, or backwards: `{2,1}`"),
            ("a{99999999999}", "a count beyond 1000, or backwards: `{99999999999}`"),
            ("(a{40}b{30}){26}", "a count beyond 1000, or backwards: `{26}`"),
            (r"a\", "ends with a backslash"),
            (r"(a)\1", r"unknown escape: `\1`"),
            (r"\C", r"unknown escape: `\C`"),
            (r"\h", r"unknown escape: `\h`"),
            (r"a\Z", r"unknown escape: `\Z`"),
            (r"\é", r"unknown escape: `\é`"),
            (r"\x4", r"unknown escape: `\x4`"),
            (r"\x{110000}", r"unknown escape: `\x{110000}`"),
            (r"[\b]", r"unknown escape: `\b`"),
            ("(?=a)", "unknown kind of group: `(?=`"),
            ("(?x)a b", "unknown kind of group: `(?x`"),
            ("(?i-)a", "unknown kind of group: `(?i-)`"),
            ("(?<=a)b", "unknown kind of group, or a bad name: `(?<=a)b`"),
            // the ones that Go takes
            (r"a\pL", r"Unicode classes are not supported: `\pL`"),
            ("(?i)é", "`(?i)` is supported for ASCII letters only, not for `é`"),
            ("(?i)[x-ÿ]", "`(?i)` is supported for ASCII letters only, not for `µ`"),
        ] {
            let message = Pattern::new(pattern).unwrap_err();
            assert_eq!(message, format!("`{pattern}`: {reason}"));
        }
        assert_eq!(Pattern::new("\n)").unwrap_err(), "`\\n)`: a `)` closes nothing");
    }

    #[test]
    fn limits() {
        assert!(Pattern::new("(?:(?:a{10}){10}){10}").is_ok());
        assert!(Pattern::new(r"(?i)(?:\W[k-s]){1000}").unwrap().is_match(&b"-k".repeat(1000)));
        let deep = Pattern::new(&format!("{}{}", "(".repeat(500), ")".repeat(500))).unwrap_err();
        assert!(
            deep.ends_with("exceed the maximum number of nested parentheses/brackets (250)"),
            "{deep}"
        );
        let letters: String = ('一'..).step_by(2).take(64).collect();
        let many = Pattern::new(&letters).unwrap_err();
        assert!(many.ends_with("tells apart too many characters beyond ASCII"), "{many}");
        assert!(Pattern::new(&letters[3..]).unwrap().is_match(letters.as_bytes()));
    }

    #[test]
    fn anchored_as_written() {
        let units = Pattern::anchored(r".+\.(automount|device|mount|scope|slice)").unwrap();
        assert_eq!(units.as_str(), r".+\.(automount|device|mount|scope|slice)");
        assert!(units.is_match(b"-.mount"));
        assert!(units.is_match("müll.scope".as_bytes()));
        assert!(!units.is_match(b".mount"));
        assert!(!units.is_match(b"a.mount.service"));
        assert!(!Pattern::anchored("a|b").unwrap().is_match(b"ab"));
        // Go puts the anchors around the text, not around what it means.
        assert!(Pattern::anchored("a)(b").unwrap().is_match(b"ab"));
        assert_eq!(Pattern::anchored(r"\Qa").unwrap_err(), r"`\Qa`: a group is not closed");
    }

    #[test]
    fn defaults_of_node_exporter() {
        let diskstats = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
        let mounts = "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
        let fs_types = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|\
            mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$";
        let netstat = "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|\
            TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|\
            OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|\
            SndbufErrors))$";
        let vmstat = "^(oom_kill|pgpg|pswp|pg.*fault).*";
        for (pattern, yes, no) in [
            (
                diskstats,
                &["sda1", "loop0", "zram0", "nvme0n1p2", "xvdb3"][..],
                &["sda", "nvme0n1", "dm-0", "md127"][..],
            ),
            (
                mounts,
                &["/dev", "/dev/shm", "/run/credentials/x", "/var/lib/docker/a"],
                &["/", "/device", "/run", "/home/dev"],
            ),
            (
                fs_types,
                &["cgroup", "cgroup2", "overlay", "tracefs"],
                &["ext4", "xfs", "tmpfs", "cgroup3", "fuse.overlay"],
            ),
            (
                netstat,
                &["Icmp_InErrors", "Udp6_InErrors", "TcpExt_ListenDrops", "Ip_Forwarding"],
                &["TcpExt_TCPTimeout", "Ip_InOctets"],
            ),
            (
                vmstat,
                &["oom_kill", "pgpgin", "pgmajfault", "pswpout"],
                &["nr_free_pages", "pgfree", "xpgpgin"],
            ),
            (".*", &["", "rx_bytes"], &[]),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            for text in yes {
                assert!(compiled.is_match(text.as_bytes()), "{text}");
            }
            for text in no {
                assert!(!compiled.is_match(text.as_bytes()), "{text}");
            }
        }
    }
}
