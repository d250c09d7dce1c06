//! Numbers that look random and are the same for the same seed.

/// Bytes around which something may change: what is a limit of the host, or of what it is made of.
const EDGES: [usize; 6] = [512, 998, 4096, 64 << 10, 1 << 20, 16 << 20];

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that are neighbours begin alike otherwise (splitmix64).
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self(((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 31)) | 1)
    }

    /// Any number (xorshift, Marsaglia 2003).
    pub(crate) fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One below this bound, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.any() >> 16) % bound.max(1) as u64).unwrap_or_default()
    }

    /// Whether one of so many chances was met.
    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Something, or nothing.
    pub(crate) fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.one_in(2) {
            true => Some(some(self)),
            false => None,
        }
    }

    /// A size: mostly small, now and then at an edge or huge.
    pub(crate) fn size(&mut self) -> usize {
        match self.below(16) {
            0 => 0,
            1..=7 => self.below(64),
            8..=11 => self.below(5000),
            12 => self.below(300_000),
            _ => {
                let edge = self.pick(&EDGES);
                edge - 2 + self.below(5)
            }
        }
    }

    /// How many: mostly few, now and then far more than anybody needs.
    pub(crate) fn count(&mut self) -> usize {
        match self.below(12) {
            0 => 0,
            1..=8 => 1 + self.below(4),
            9 => self.below(150),
            10 => self.below(1200),
            _ => self.below(50_000),
        }
    }

    /// A number of 64 bits: small, an edge, or any.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX - self.below(3) as u64,
            2 => (1 << self.below(64)) - u64::from(self.one_in(2)),
            3 => self.any(),
            _ => self.below(100_000) as u64,
        }
    }
}
