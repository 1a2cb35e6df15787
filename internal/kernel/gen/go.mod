module melo.example/melo/internal/kernel/gen

go 1.26.8
