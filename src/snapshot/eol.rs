//! Line endings: LF to CR LF, as git writes them on checkout.

use std::io::{self, Read};

use super::conversion::Crlf;

/// Bytes that are converted at once.
const CHUNK: usize = 64 << 10;

/// What git goes by: `gather_stats` of its `convert.c`.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    lone_cr: u64,
    lone_lf: u64,
    crlf: u64,
    nul: u64,
    printable: u64,
    nonprintable: u64,
    last: Option<u8>,
}

impl Statistics {
    /// Reads to the end.
    pub(super) fn of(mut source: impl Read) -> io::Result<Self> {
        let mut statistics = Self::default();
        let mut buffer = vec![0; CHUNK];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => buffer[..count]
                    .iter()
                    .for_each(|byte| statistics.add(*byte)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match statistics.last {
            Some(b'\r') => statistics.lone_cr += 1,
            // The end of a file of DOS does not count.
            Some(0x1a) => statistics.nonprintable -= 1,
            _ => {}
        }
        Ok(statistics)
    }

    fn add(&mut self, byte: u8) {
        let after_cr = self.last.replace(byte) == Some(b'\r');
        match byte {
            b'\n' if after_cr => self.crlf += 1,
            _ if after_cr => self.lone_cr += 1,
            _ => {}
        }
        match byte {
            b'\n' if after_cr => {}
            b'\n' => self.lone_lf += 1,
            // Counted with what follows.
            b'\r' => {}
            // Backspace, tab, escape, form feed.
            0x08 | b'\t' | 0x1b | 0x0c => self.printable += 1,
            0 => {
                self.nul += 1;
                self.nonprintable += 1;
            }
            0..0x20 | 0x7f => self.nonprintable += 1,
            _ => self.printable += 1,
        }
    }

    /// How many bytes the conversion adds.
    pub(super) fn added(&self, crlf: Crlf) -> u64 {
        let converts = match crlf {
            Crlf::Never => false,
            Crlf::Auto => self.lone_cr == 0 && self.crlf == 0 && !self.is_binary(),
            Crlf::Always => true,
        };
        if converts { self.lone_lf } else { 0 }
    }

    fn is_binary(&self) -> bool {
        self.lone_cr > 0 || self.nul > 0 || self.printable >> 7 < self.nonprintable
    }
}

/// Puts a CR before each LF that has none.
#[derive(Debug)]
pub(super) struct CrlfReader<R> {
    source: R,
    converted: Vec<u8>,
    position: usize,
    after_cr: bool,
}

impl<R: Read> CrlfReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            converted: Vec::new(),
            position: 0,
            after_cr: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        let count = self.source.read(&mut buffer)?;
        self.converted.clear();
        self.position = 0;
        for byte in &buffer[..count] {
            if *byte == b'\n' && !self.after_cr {
                self.converted.push(b'\r');
            }
            self.converted.push(*byte);
            self.after_cr = *byte == b'\r';
        }
        Ok(())
    }
}

impl<R: Read> Read for CrlfReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.converted.len() {
            self.fill()?;
        }
        let count = (&self.converted[self.position..]).read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a pipe may.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = buffer.len().min(1);
            self.0.read(&mut buffer[..end])
        }
    }

    #[test]
    fn a_lf_without_a_cr_gets_one() {
        for (text, expected) in [
            ("", ""),
            ("a\nb", "a\r\nb"),
            ("\n\n", "\r\n\r\n"),
            ("a\r\nb\n", "a\r\nb\r\n"),
            ("a\r\r\n\r", "a\r\r\n\r"),
        ] {
            let added = (expected.len() - text.len()) as u64;
            let statistics = Statistics::of(Drip(text.as_bytes())).expect("read");
            assert_eq!(statistics.added(Crlf::Always), added, "{text:?}");
            let mut converted = String::new();
            CrlfReader::new(Drip(text.as_bytes()))
                .read_to_string(&mut converted)
                .expect("read");
            assert_eq!(converted, expected);
        }
    }

    #[test]
    fn what_is_not_text_or_has_a_cr_is_left_alone_by_auto() {
        let mostly_text = [vec![b'x'; 128], vec![1, b'\n']].concat();
        for (bytes, added) in [
            (&b"a\nb\n"[..], 2),
            (b"a\r\nb\n", 0),
            (b"a\rb\n", 0),
            (b"a\n\r", 0),
            (b"a\0\n", 0),
            (b"\x01\n", 0),
            (b"a\n\x1a", 1),
            (b"\t\x08\x0c\x1b\n", 1),
            (&mostly_text, 1),
            (&mostly_text[1..], 0),
        ] {
            let statistics = Statistics::of(bytes).expect("read");
            assert_eq!(statistics.added(Crlf::Auto), added, "{bytes:?}");
            assert_eq!(statistics.added(Crlf::Never), 0);
        }
    }
}
