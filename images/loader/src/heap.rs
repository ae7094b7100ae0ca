//! A heap that only grows: the loader runs once, and the kernel reads what it left there.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

const BYTES: usize = 64 * 1024;

#[repr(C, align(4096))]
struct Heap {
    bytes: UnsafeCell<[u8; BYTES]>,
    used: AtomicUsize,
}

// SAFETY: one processor; `used` hands out every byte once.
unsafe impl Sync for Heap {}

// SAFETY: blocks lie within `bytes`, are aligned as asked, and never overlap.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base: *mut u8 = self.bytes.get().cast();
        let begin = self
            .used
            .load(Ordering::Relaxed)
            .next_multiple_of(layout.align());
        match begin.checked_add(layout.size()) {
            Some(end) if end <= BYTES && layout.align() <= 4096 => {
                self.used.store(end, Ordering::Relaxed);
                base.wrapping_add(begin)
            }
            _ => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Heap = Heap {
    bytes: UnsafeCell::new([0; BYTES]),
    used: AtomicUsize::new(0),
};
