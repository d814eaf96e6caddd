/// What can go wrong with one I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A read gives fewer bytes than asked for.
    ShortRead,
    /// A write takes fewer bytes than given.
    ShortWrite,
    /// A read or write is interrupted by a signal (`EINTR`).
    Interrupt,
    /// A read fails.
    ReadError,
    /// A write or a change of the folder fails.
    WriteError,
    /// A sync fails.
    SyncError,
    /// A read gives the bytes of another place.
    Misdirected,
    /// There is no space. Comes from the space that is left, not by chance.
    Full,
}

impl Fault {
    pub(crate) const ALL: [Self; 8] = [
        Self::ShortRead,
        Self::ShortWrite,
        Self::Interrupt,
        Self::ReadError,
        Self::WriteError,
        Self::SyncError,
        Self::Misdirected,
        Self::Full,
    ];
}

/// How often each fault happens: once in so many I/Os that it could happen to; 0 is never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather([u32; Fault::ALL.len()]);

impl Weather {
    pub(crate) fn with(mut self, fault: Fault, once_in: u32) -> Self {
        self.0[fault as usize] = once_in;
        self
    }

    pub(super) fn once_in(&self, fault: Fault) -> u32 {
        self.0[fault as usize]
    }
}

/// Which faults happened to an actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults(u16);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u16;
    }

    pub(crate) fn any(self, faults: &[Fault]) -> bool {
        faults.iter().any(|&fault| self.0 & (1 << fault as u16) != 0)
    }

    /// Something failed that an honest, healthy disk would have done.
    pub(crate) fn failed(self) -> bool {
        use Fault::{Full, Misdirected, ReadError, SyncError, WriteError};
        self.any(&[ReadError, WriteError, SyncError, Misdirected, Full])
    }

    /// A read failed or gave something else than what is there.
    pub(crate) fn misread(self) -> bool {
        self.any(&[Fault::ReadError, Fault::Misdirected])
    }
}
