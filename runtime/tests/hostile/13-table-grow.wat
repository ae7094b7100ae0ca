;; A table that grows.
(module
  (table 1 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1))))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
