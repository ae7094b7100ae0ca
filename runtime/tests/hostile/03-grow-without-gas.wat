;; The same where the gas does not last for the pages.
(module
  (memory (export "memory") 1 256)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.const 0)))
