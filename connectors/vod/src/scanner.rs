//! JSON by its brackets and quotes alone: where members and elements begin and end.

use std::ops::Range;

/// Where it is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) at: usize,
}

pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    /// Reads on from a place.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Calls with the raw name, without its quotes, and the place of the value of each member.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&'a [u8], Range<usize>),
    ) -> Result<(), Broken> {
        self.take(b'{')?;
        if self.is_next(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.take(b':')?;
            let value = self.value()?;
            member(&self.bytes[name.start + 1..name.end - 1], value);
            if self.is_next(b'}') {
                return Ok(());
            }
            self.take(b',')?;
        }
    }

    /// Calls with the place of each element.
    pub(crate) fn array(&mut self, mut element: impl FnMut(Range<usize>)) -> Result<(), Broken> {
        self.take(b'[')?;
        if self.is_next(b']') {
            return Ok(());
        }
        loop {
            element(self.value()?);
            if self.is_next(b']') {
                return Ok(());
            }
            self.take(b',')?;
        }
    }

    /// Nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.broken()) }
    }

    /// A value of any kind. Whether it is good JSON inside is not looked at.
    fn value(&mut self) -> Result<Range<usize>, Broken> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'{' | b'[') => self.nested()?,
            _ => {
                let rest = &self.bytes[start..];
                let is_end = |b: &u8| b",]}:\"{[ \t\r\n".contains(b);
                let len = rest.iter().position(is_end).unwrap_or(rest.len());
                if len == 0 {
                    return Err(self.broken());
                }
                self.at += len;
            }
        }
        Ok(start..self.at)
    }

    /// From an opening bracket to the one that closes it.
    fn nested(&mut self) -> Result<(), Broken> {
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or_else(|| self.broken())? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// A text with its quotes.
    fn string(&mut self) -> Result<Range<usize>, Broken> {
        let start = self.at;
        self.take_here(b'"')?;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(len) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.bytes.len();
                return Err(self.broken());
            };
            self.at += len + 1;
            if rest[len] == b'"' {
                return Ok(start..self.at);
            }
            // Whatever is escaped is no end.
            if self.at == self.bytes.len() {
                return Err(self.broken());
            }
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        self.space();
        self.take_here(byte)
    }

    fn take_here(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() != Some(byte) {
            return Err(self.broken());
        }
        self.at += 1;
        Ok(())
    }

    fn is_next(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn space(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn broken(&self) -> Broken {
        Broken { at: self.at }
    }
}
