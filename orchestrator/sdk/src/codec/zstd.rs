//! Compression.

use millrace_core::Payload;

use super::{Codec, CodecError, Content};

const NAME: &str = "zstd/1";
/// Below this the mark costs more than is won.
const THRESHOLD: usize = 1024;
/// The largest payload that is unpacked: a few bytes could otherwise ask for all of the memory.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Compresses payloads of some size with Zstandard, if that makes them smaller. Set it before a codec that encrypts: what is
/// encrypted cannot be compressed any more.
#[derive(Clone, Copy, Debug)]
pub struct Zstd {
    threshold: usize,
    level: i32,
}

impl Zstd {
    /// Compresses payloads of at least 1 KiB.
    pub fn new() -> Self {
        Self { threshold: THRESHOLD, level: 3 }
    }

    /// Compresses payloads of at least so many bytes.
    #[must_use]
    pub fn threshold(self, bytes: usize) -> Self {
        Self { threshold: bytes, ..self }
    }

    /// How hard it tries: 1 to 22, 3 if not said.
    #[must_use]
    pub fn level(self, level: i32) -> Self {
        Self { level: level.clamp(1, 22), ..self }
    }
}

impl Default for Zstd {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Zstd {
    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        let length = payload.as_str().len();
        if length < self.threshold || length > MOST_BYTES {
            return Ok(None);
        }
        let plain = Content::of(payload)?;
        let bytes = zstd::bulk::compress(plain.bytes(), self.level)
            .map_err(|error| CodecError::new(format!("a payload could not be compressed: {error}")))?;
        let packed = plain.then(NAME, bytes).into_payload()?;
        Ok(Some(packed).filter(|packed| packed.as_str().len() < length))
    }

    fn decode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        let packed = Content::of(payload)?;
        if packed.last() != Some(NAME) {
            return Ok(None);
        }
        let bytes = zstd::bulk::decompress(packed.bytes(), MOST_BYTES).map_err(|error| {
            CodecError::new(format!("a compressed payload could not be unpacked: {error}; it was changed"))
        })?;
        packed.before(bytes).into_payload().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_becomes_smaller_is_compressed() {
        let codec = Zstd::new();
        let large = Payload::of(&"ab".repeat(2_000)).unwrap();
        let packed = codec.encode(&large).unwrap().unwrap();
        assert!(packed.as_str().len() < 200, "{packed}");
        assert_eq!(codec.decode(&packed).unwrap(), Some(large));
        let small = Payload::of(&"ab".repeat(100)).unwrap();
        assert_eq!(codec.encode(&small).unwrap(), None);
        let mut n = 1_u32;
        let noise: Vec<u32> = std::iter::repeat_with(|| {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            n
        })
        .take(500)
        .collect();
        assert_eq!(Zstd::new().threshold(0).encode(&Payload::of(&"x").unwrap()).unwrap(), None);
        assert!(
            codec
                .encode(&Payload::of(&noise).unwrap())
                .unwrap()
                .is_none_or(|packed| packed.as_str().len() < 5_500)
        );
        assert_eq!(codec.decode(&small).unwrap(), None);
    }

    #[test]
    fn what_unpacks_to_more_than_memory_is_refused() {
        let bomb = zstd::bulk::compress(&vec![b' '; MOST_BYTES + 1], 1).unwrap();
        let bomb = Content::of(&Payload::null()).unwrap().then(NAME, bomb).into_payload().unwrap();
        let error = Zstd::new().decode(&bomb).unwrap_err().to_string();
        assert!(error.starts_with("a compressed payload could not be unpacked"), "{error}");
    }
}
