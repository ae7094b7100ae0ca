;; Data that reach beyond the memory.
(module
  (data (i32.const 65535) "ab")
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
