;; A reference.
(module
  (func (drop (ref.i31 (i32.const 0))))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
