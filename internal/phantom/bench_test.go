package phantom

import "testing"

func BenchmarkDraw(b *testing.B) {
	for _, task := range Tasks() {
		b.Run(task.Name, func(b *testing.B) {
			for i := range b.N {
				task.Draw(1, i)
			}
		})
	}
}
