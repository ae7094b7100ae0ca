;; Grows until it is refused: what it counts is the declared maximum, whatever memory is free.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 256)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (loop (local.set 2 (i32.add (local.get 2) (i32.const 1)))
      (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.store (i32.const 0) (local.get 2))
    (call $output (i32.const 0) (i32.const 4))
    (i32.const 0)))
