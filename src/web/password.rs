//! Password hashes, as Apache's `htpasswd`, nginx, `openssl passwd` and exporter-toolkit write them.
//!
//! bcrypt is what one should have. The rest is read because it lies in files that must keep working.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use subtle::ConstantTimeEq;

/// A hash that a password can be held against. `Debug` names its kind and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(Scheme);

#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    /// The text in the only form that the crate takes: `$2b$`, two digits of cost, salt, digest.
    Bcrypt { cost: u32, text: Box<str> },
    /// `$apr1$` and `$1$`: 1000 rounds of MD5, which differ in nothing but this prefix.
    Md5Crypt { magic: &'static str, salt: Box<str>, digest: Box<str> },
    /// `$5$` and `$6$`.
    ShaCrypt { rounds: u32, text: Box<str> },
    /// `{SHA}` without a salt, `{SSHA}` with one.
    Sha1 { digest: [u8; SHA1_LEN], salt: Box<[u8]> },
    /// `{PLAIN}`, kept as SHA-256, for comparison of equal lengths and so that the password does not lie about.
    Plain { digest: [u8; SHA256_LEN] },
}

const SHA1_LEN: usize = 20;
const SHA256_LEN: usize = 32;

/// glibc's crypt(3) and libxcrypt take no longer password. SHA-crypt's time grows with it, so this is also what a request can cost.
const PASSWORD_MAX: usize = 512;

/// SHA-crypt allows 999,999,999 rounds, which is minutes. This is half a second.
const ROUNDS_MAX: u32 = 1_000_000;

/// Of a bcrypt password, only so many bytes count.
pub const BCRYPT_MAX: usize = 72;

/// What [`hash`] takes where nobody asked for another.
pub const BCRYPT_COST: u32 = 12;

const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

impl Hash {
    /// Any hash that an htpasswd file may hold.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let scheme = if let Some(rest) = text.strip_prefix('$') {
            match rest.split('$').next().unwrap_or_default() {
                "apr1" => md5_crypt("$apr1$", text)?,
                "1" => md5_crypt("$1$", text)?,
                "5" | "6" => sha_crypt(text)?,
                "y" | "gy" => return Err(HashError::Unsupported("yescrypt")),
                "7" => return Err(HashError::Unsupported("scrypt")),
                version if version.starts_with('2') => return Self::bcrypt(text),
                _ => return Err(HashError::Unknown),
            }
        } else if let Some(encoded) = text.strip_prefix("{SHA}") {
            sha1(encoded, |salt| salt == 0)?
        } else if let Some(encoded) = text.strip_prefix("{SSHA}") {
            sha1(encoded, |salt| salt > 0)?
        } else if let Some(password) = text.strip_prefix("{PLAIN}").filter(|p| !p.is_empty()) {
            Scheme::Plain { digest: sha256(password.as_bytes()) }
        } else if text.len() == 13 && text.bytes().all(is_crypt_digit) {
            return Err(HashError::Unsupported("DES crypt"));
        } else {
            return Err(HashError::Unknown);
        };
        Ok(Self(scheme))
    }

    /// A bcrypt hash and nothing else, refused in the words of Go's bcrypt, which the web config file's users are checked by.
    pub fn bcrypt(text: &str) -> Result<Self, HashError> {
        let bytes = text.as_bytes();
        if bytes.len() < 59 {
            return Err(HashError::TooShort);
        }
        let (version, tail) = match bytes {
            [b'$', version, b'$', ..] => (*version, 3),
            [b'$', version, _, b'$', ..] => (*version, 4),
            [b'$', version, ..] if *version > b'2' => return Err(HashError::TooNew(*version)),
            [b'$', ..] => return Err(HashError::Malformed("bcrypt")),
            [other, ..] => return Err(HashError::Prefix(*other)),
            [] => return Err(HashError::TooShort),
        };
        match version {
            b'2' => {}
            b'3'.. => return Err(HashError::TooNew(version)),
            _ => return Err(HashError::Malformed("bcrypt")),
        }
        let tail = text.get(tail..).ok_or(HashError::Malformed("bcrypt"))?;
        let cost = tail
            .get(..2)
            .and_then(|cost| cost.parse().ok())
            .ok_or(HashError::Malformed("bcrypt"))?;
        if !COSTS.contains(&cost) {
            return Err(HashError::Cost(cost));
        }
        // Go looks at no letter after the 2, and there is but one algorithm behind them all.
        let text = format!("$2b${tail}");
        text.parse::<bcrypt::HashParts>().map_err(|_| HashError::Malformed("bcrypt"))?;
        Ok(Self(Scheme::Bcrypt { cost, text: text.into() }))
    }

    /// Takes as long as [`Self::work`] says: not for an async thread.
    pub fn verify(&self, password: &[u8]) -> bool {
        let capped = &password[..password.len().min(PASSWORD_MAX)];
        match &self.0 {
            Scheme::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Scheme::Md5Crypt { magic, salt, digest } => {
                let ours = md5_crypt_digest(magic, salt.as_bytes(), capped);
                bool::from(ours.ct_eq(digest.as_bytes())) && capped.len() == password.len()
            }
            Scheme::ShaCrypt { text, .. } => {
                let right = ShaCrypt::default().verify_password(capped, &**text).is_ok();
                right && capped.len() == password.len()
            }
            Scheme::Sha1 { digest, salt } => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(password);
                context.update(salt);
                context.finish().as_ref().ct_eq(digest).into()
            }
            Scheme::Plain { digest } => sha256(password).ct_eq(digest).into(),
        }
    }

    /// Roughly the nanoseconds that [`Self::verify`] takes, to tell the costlier of two hashes.
    pub fn work(&self) -> u64 {
        match &self.0 {
            Scheme::Bcrypt { cost, .. } => 64_000 << cost,
            Scheme::Md5Crypt { .. } => 300_000,
            Scheme::ShaCrypt { rounds, .. } => 500 * u64::from(*rounds),
            Scheme::Sha1 { .. } => 1_000,
            Scheme::Plain { .. } => 500,
        }
    }

    /// What start-up should tell the operator about this hash.
    pub fn weakness(&self) -> Option<&'static str> {
        match &self.0 {
            Scheme::Bcrypt { cost: ..10, .. } => {
                Some("bcrypt of a cost below 10 is quickly guessed")
            }
            Scheme::Bcrypt { cost: 16.., .. } => {
                Some("bcrypt of a cost above 15 takes seconds for each login")
            }
            Scheme::Bcrypt { .. } | Scheme::ShaCrypt { .. } => None,
            Scheme::Md5Crypt { .. } => Some("MD5-crypt is quickly guessed"),
            Scheme::Sha1 { salt, .. } if salt.is_empty() => {
                Some("SHA-1 without a salt is as good as clear text")
            }
            Scheme::Sha1 { .. } => Some("a single SHA-1 is quickly guessed"),
            Scheme::Plain { .. } => Some("the password stands there in clear text"),
        }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Scheme::Bcrypt { .. } => "Hash(bcrypt)",
            Scheme::Md5Crypt { .. } => "Hash(md5crypt)",
            Scheme::ShaCrypt { .. } => "Hash(sha-crypt)",
            Scheme::Sha1 { .. } => "Hash(sha1)",
            Scheme::Plain { .. } => "Hash(plain)",
        })
    }
}

/// Why a text is no hash of ours. Says nothing of the text but the characters that Go's bcrypt names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashError {
    TooShort,
    TooNew(u8),
    Prefix(u8),
    Cost(u32),
    Malformed(&'static str),
    Rounds(u32),
    Unsupported(&'static str),
    Unknown,
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => {
                f.write_str("crypto/bcrypt: hashedSecret too short to be a bcrypted password")
            }
            Self::TooNew(version) => write!(
                f,
                "crypto/bcrypt: bcrypt algorithm version '{}' requested is newer than current version '2'",
                version.escape_ascii()
            ),
            Self::Prefix(first) => write!(
                f,
                "crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret started with '{}'",
                first.escape_ascii()
            ),
            Self::Cost(cost) => write!(
                f,
                "crypto/bcrypt: cost {cost} is outside allowed inclusive range {}..{}",
                COSTS.start(),
                COSTS.end()
            ),
            Self::Malformed(kind) => write!(f, "malformed {kind} hash"),
            Self::Rounds(rounds) => {
                write!(f, "{rounds} rounds of SHA-crypt are outside 1000..{ROUNDS_MAX}")
            }
            Self::Unsupported(kind) => {
                write!(f, "{kind} is not supported, set the password anew with hostwarden passwd")
            }
            Self::Unknown => f.write_str("unknown kind of hash"),
        }
    }
}

impl std::error::Error for HashError {}

/// A new bcrypt hash under the letter that the oldest Apache takes as well. `None` if the password is longer than counts, or the
/// cost is out of range.
pub fn hash(password: &[u8], cost: u32) -> Option<String> {
    if password.len() > BCRYPT_MAX {
        return None;
    }
    let parts = bcrypt::hash_with_result(password, cost).ok()?;
    Some(parts.format_for_version(bcrypt::Version::TwoY))
}

/// `$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1`: at most 8 characters of salt count.
fn md5_crypt(magic: &'static str, text: &str) -> Result<Scheme, HashError> {
    let malformed = HashError::Malformed("MD5-crypt");
    let (salt, digest) =
        text.strip_prefix(magic).and_then(|rest| rest.split_once('$')).ok_or(malformed)?;
    if digest.len() != 22 || !digest.bytes().all(is_crypt_digit) {
        return Err(malformed);
    }
    let salt = salt.char_indices().nth(8).map_or(salt, |(end, _)| &salt[..end]);
    Ok(Scheme::Md5Crypt { magic, salt: salt.into(), digest: digest.into() })
}

/// The algorithm of FreeBSD's crypt-md5.c of 1994; no crate that is looked after has it.
fn md5_crypt_digest(magic: &str, salt: &[u8], password: &[u8]) -> [u8; 22] {
    let mut state: [u8; 16] = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize()
        .into();
    let mut md5 = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for chunk in password.chunks(state.len()) {
        md5.update(&state[..chunk.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        md5.update(if length & 1 == 1 { &[0] } else { &password[..1] });
        length >>= 1;
    }
    state = md5.finalize().into();

    for round in 0..1000 {
        let mut md5 = Md5::new();
        md5.update(if round % 2 == 1 { password } else { &state });
        if round % 3 != 0 {
            md5.update(salt);
        }
        if round % 7 != 0 {
            md5.update(password);
        }
        md5.update(if round % 2 == 1 { &state } else { password });
        state = md5.finalize().into();
    }

    let mut text = [0; 22];
    let triples = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    for (out, [a, b, c]) in text.chunks_mut(4).zip(triples) {
        crypt_digits(u32::from_be_bytes([0, state[a], state[b], state[c]]), out);
    }
    crypt_digits(u32::from(state[11]), &mut text[20..]);
    text
}

/// crypt(3)'s base 64, lowest digit first.
fn crypt_digits(mut n: u32, out: &mut [u8]) {
    for digit in out {
        *digit = CRYPT_DIGITS[n as usize % CRYPT_DIGITS.len()];
        n >>= 6;
    }
}

const CRYPT_DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn is_crypt_digit(byte: u8) -> bool {
    CRYPT_DIGITS.contains(&byte)
}

/// `$6$rounds=20000$salt$digest`, the rounds being optional.
fn sha_crypt(text: &str) -> Result<Scheme, HashError> {
    let malformed = HashError::Malformed("SHA-crypt");
    let mut fields = text.split('$').skip(1).peekable();
    let length = if fields.next() == Some("5") { 43 } else { 86 };
    let mut rounds = sha_crypt::Params::RECOMMENDED_ROUNDS;
    if let Some(given) = fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
        fields.next();
        rounds = given.parse().map_err(|_| malformed)?;
        if !(sha_crypt::Params::ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds) {
            return Err(HashError::Rounds(rounds));
        }
    }
    let [Some(_salt), Some(digest), None] = [fields.next(), fields.next(), fields.next()] else {
        return Err(malformed);
    };
    if digest.len() != length || !digest.bytes().all(is_crypt_digit) {
        return Err(malformed);
    }
    Ok(Scheme::ShaCrypt { rounds, text: text.into() })
}

fn sha1(encoded: &str, salt_fits: impl Fn(usize) -> bool) -> Result<Scheme, HashError> {
    let malformed = HashError::Malformed("SHA-1");
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| malformed)?;
    let (digest, salt) = bytes.split_first_chunk().ok_or(malformed)?;
    if !salt_fits(salt.len()) {
        return Err(malformed);
    }
    Ok(Scheme::Sha1 { digest: *digest, salt: salt.into() })
}

fn sha256(bytes: &[u8]) -> [u8; SHA256_LEN] {
    let mut sum = [0; SHA256_LEN];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of `correct horse` by openssl 3.0 (`passwd -apr1 -1 -5 -6`), Apache 2.4 (`htpasswd -nb` with -m -B -s -2 -5 -r)
    /// and mkpasswd of whois 5.5; `{SSHA}` from hashlib.
    const CORRECT_HORSE: [(&str, Option<&str>); 17] = [
        ("$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1", Some("MD5")),
        ("$apr1$xzHptzZ3$m5LI17WRn4nOKWo.6.2Ws1", Some("MD5")),
        ("$1$4I5Unubk$9ecZBC12XKV/GPWTZ02Ex1", Some("MD5")),
        ("$1$UKK/8kDF$KfGloOyJSH/pGV5iamhyX/", Some("MD5")),
        ("$5$HejvAJHytN9RGfWC$.533NbpFQrvzaNqMdm8LGGgiNzeqk42eSRvSpjgENa8", None),
        ("$5$rounds=1000$TAgOsty7igWnEK4C$0rYzz121RmzBzCWysAhGhZ/NMWn3T/ky1CYlH4AN57.", None),
        (
            "$6$NoIj6fVGRAWHxTqu$.X6RAKy.jTfydxyFLoab2srCcqfS2YEwjvG95Or0oP2cW6k7ICdhh2YZQvheRj/a.N1s0oPZirfxyJHv5qvpK0",
            None,
        ),
        (
            "$6$Ex4cIDJ75Dk0E9Zt$nyHn3EaDHxIKdD.QD6AYp3brjFeIAkhCn2qFWVTH1dl3.0mzPiyT3WvJs7tFTySqnn8KKnf7/ZTMuEJjTXZER/",
            None,
        ),
        (
            "$6$rounds=1500$uJBf3yCtLfqk3..E$RxFlPZzBLVE6FkZVoIWDOEIuk3Wnq45nYiMche9MZkz3JtQvHHsyNBSImEiKkZdjD6a2YpNA0j/sA4R5BpmUU0",
            None,
        ),
        (
            "$6$rounds=20000$Zoovebw262/BjfEM$majU556AfBFOkqB9Zgxtzz8Fuxx1oYzFUR.fUJM8yxwBAh54HM/NrJx0xEvrKztlU4wPd.uDh2pEl7NxLmaQc.",
            None,
        ),
        ("$2y$05$lQehp4tPL9ey.UXxcTiRWeR29FGLsvRzX2gIYvhqQXY.qoxtg1Xsi", Some("bcrypt")),
        ("$2y$04$wuOo379YdpXF/JymI/Bl7.ld1qyzrz1fahzGlnq5ZI86g.UzJutjC", Some("bcrypt")),
        ("$2b$05$kxBs38xuT2krxwkBLdw9Zewz4JGDW06G8DfropyImjV6TcT7jOsoK", Some("bcrypt")),
        ("$2a$05$6xLG0fx0ZWobw1WcAj9Sh.j6UlYwsO8DZtJ.KKhtRO6QpsMnH7KDa", Some("bcrypt")),
        ("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", Some("SHA-1")),
        ("{SSHA}6Uv7I8iqGRar7rbbukELxe5vC4YBAnNhbHT/", Some("SHA-1")),
        ("{PLAIN}correct horse", Some("clear text")),
    ];

    #[test]
    fn hashes_of_real_producers() {
        for (text, weakness) in CORRECT_HORSE {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.verify(b"correct horse"), "{text}");
            for wrong in ["", "correct", "correct horse ", "Correct horse", "correct\0horse"] {
                assert!(!hash.verify(wrong.as_bytes()), "{text} {wrong:?}");
            }
            assert!(!hash.verify(&[b'x'; 100_000]), "{text}");
            match weakness {
                Some(word) => assert!(hash.weakness().unwrap().contains(word), "{text}"),
                None => assert_eq!(hash.weakness(), None, "{text}"),
            }
        }
    }

    #[test]
    fn odd_passwords() {
        for (text, password) in [
            ("$apr1$QIsDBf6d$RrzAfi7BBBH8cb0/c/05U0", "päß"),
            (
                "$6$d6dxyASAOS0Hei49$ouRN1M9.p3nSW/zh72xA1wLPv06SmP6/JnrFGMQds630ZXtmUXU.XbZFcBDYLEBtPCbOCBw.PcH9vwENrouo21",
                "päß",
            ),
            ("$2y$05$dtRUamVb0jbNmIhu18HCAeIfdF55iKi71mQvnmeeDnV1NkqCwcdo.", "päß"),
            ("$1$ab$jtRvJqDWXi2dyYBnMmGYN/", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            ("$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.", ""),
            ("$apr1$EILuB2Pd$nAQ3nAwkYe68OcuoNsyNP0", ""),
        ] {
            assert!(Hash::parse(text).unwrap().verify(password.as_bytes()), "{text}");
        }
    }

    #[test]
    fn bcrypt_counts_72_bytes() {
        let hash =
            Hash::parse("$2y$04$PC1XP9kxY4cqn7nKLkyZouIbdoptyffgqnJT3TyQrrpZjdXcg4xqu").unwrap();
        let password = "abcdefghi".repeat(9);
        assert!(hash.verify(password.as_bytes()));
        assert!(hash.verify(&password.as_bytes()[..72]));
        assert!(!hash.verify(&password.as_bytes()[..71]));
    }

    #[test]
    fn any_letter_after_bcrypts_2() {
        let tail = "05$lQehp4tPL9ey.UXxcTiRWeR29FGLsvRzX2gIYvhqQXY.qoxtg1Xsi";
        for version in ["$2$", "$2a$", "$2b$", "$2x$", "$2y$", "$2c$"] {
            let hash = Hash::bcrypt(&format!("{version}{tail}")).unwrap();
            assert!(hash.verify(b"correct horse"), "{version}");
        }
    }

    #[test]
    fn bcrypt_in_gos_words() {
        let tail = "$lQehp4tPL9ey.UXxcTiRWeR29FGLsvRzX2gIYvhqQXY.qoxtg1Xsi";
        let long = "x".repeat(60);
        for (text, message) in [
            ("", "crypto/bcrypt: hashedSecret too short to be a bcrypted password"),
            ("secret", "crypto/bcrypt: hashedSecret too short to be a bcrypted password"),
            (
                "$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1",
                "crypto/bcrypt: hashedSecret too short to be a bcrypted password",
            ),
            (
                "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
                "crypto/bcrypt: hashedSecret too short to be a bcrypted password",
            ),
            (
                CORRECT_HORSE[6].0,
                "crypto/bcrypt: bcrypt algorithm version '6' requested is newer than current version '2'",
            ),
            (
                "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g",
                "crypto/bcrypt: bcrypt algorithm version 'a' requested is newer than current version '2'",
            ),
            (
                &long,
                "crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret started with 'x'",
            ),
            (
                &format!("$2y$03{tail}"),
                "crypto/bcrypt: cost 3 is outside allowed inclusive range 4..31",
            ),
            (
                &format!("$2y$32{tail}"),
                "crypto/bcrypt: cost 32 is outside allowed inclusive range 4..31",
            ),
            (&format!("$2y$1x{tail}"), "malformed bcrypt hash"),
            (&format!("$2y$05{tail}x"), "malformed bcrypt hash"),
            (&format!("$2y$05{}é", &tail[..tail.len() - 2]), "malformed bcrypt hash"),
            (&format!("$2ÿ05{tail}"), "malformed bcrypt hash"),
        ] {
            assert_eq!(Hash::bcrypt(text).unwrap_err().to_string(), message, "{text}");
        }
        Hash::bcrypt(&format!("$2y$31{tail}")).unwrap();
    }

    #[test]
    fn no_hashes() {
        use HashError::{Malformed, Rounds, Unknown, Unsupported};
        let sha = &CORRECT_HORSE[6].0[3..];
        for (text, error) in [
            ("", Unknown),
            ("secret", Unknown),
            ("*", Unknown),
            ("{sha}L55TUjtiq8FBorTWAZ0jy6g129A=", Unknown),
            ("!$1$4I5Unubk$9ecZBC12XKV/GPWTZ02Ex1", Unknown),
            (" $1$4I5Unubk$9ecZBC12XKV/GPWTZ02Ex1", Unknown),
            ("{PLAIN}", Unknown),
            ("$", Unknown),
            ("$3$x", Unknown),
            ("Hz52n4qrqrZ1g", Unsupported("DES crypt")),
            ("4/wacKpiBViok", Unsupported("DES crypt")),
            (
                "$y$j9T$7LYVK5EzrP4Avo97yNfvj/$vbUofLvmv.KtNBGu//cS9tt/YVBUbRUAloiYlE2Vmo3",
                Unsupported("yescrypt"),
            ),
            ("$7$CU..../....heTKsuQlzfBqSQAwJvSvS.$pq9T", Unsupported("scrypt")),
            ("$apr1$S4Cq3Egq", Malformed("MD5-crypt")),
            ("$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw", Malformed("MD5-crypt")),
            ("$1$4I5Unubk$9ecZBC12XKV/GPWTZ02Exé", Malformed("MD5-crypt")),
            ("$6$", Malformed("SHA-crypt")),
            ("$6$salt$", Malformed("SHA-crypt")),
            (
                "$5$HejvAJHytN9RGfWC$.533NbpFQrvzaNqMdm8LGGgiNzeqk42eSRvSpjgENa",
                Malformed("SHA-crypt"),
            ),
            ("$6$rounds=x$salt$digest", Malformed("SHA-crypt")),
            (&format!("$6$rounds=999${sha}"), Rounds(999)),
            (&format!("$6$rounds=999999999${sha}"), Rounds(999_999_999)),
            ("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A", Malformed("SHA-1")),
            ("{SHA}6Uv7I8iqGRar7rbbukELxe5vC4YBAnNhbHT/", Malformed("SHA-1")),
            ("{SSHA}L55TUjtiq8FBorTWAZ0jy6g129A=", Malformed("SHA-1")),
            ("{SHA}c2hvcnQ=", Malformed("SHA-1")),
        ] {
            assert_eq!(Hash::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn new_hashes() {
        let text = hash(b"correct horse", 4).unwrap();
        assert!(text.starts_with("$2y$04$"), "{text}");
        assert!(Hash::parse(&text).unwrap().verify(b"correct horse"));
        assert_ne!(hash(b"correct horse", 4).unwrap(), text);
        assert!(hash(&[b'x'; 72], 4).is_some());
        assert_eq!(hash(&[b'x'; 73], 4), None);
        assert_eq!(hash(b"correct horse", 3), None);
    }

    #[test]
    fn costs_in_order() {
        let work = |i: usize| Hash::parse(CORRECT_HORSE[i].0).unwrap().work();
        assert!(work(10) > work(6) / 2, "bcrypt 5 and 5000 rounds of SHA-512 are near each other");
        assert!(work(9) > work(6) && work(6) > work(0) && work(0) > work(14));
    }

    #[test]
    fn debug_shows_no_hash() {
        for (text, _) in CORRECT_HORSE {
            let debug = format!("{:?}", Hash::parse(text).unwrap());
            assert!(debug.len() < 20 && !debug.contains('$'), "{debug}");
        }
    }
}
