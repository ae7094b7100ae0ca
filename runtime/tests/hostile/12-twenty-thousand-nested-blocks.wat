;; Blocks within blocks.
(module
  (func {{20000*block }}{{20000*end }})
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
