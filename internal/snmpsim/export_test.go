package snmpsim

// Answer returns what a does with a message, without a socket.
func (a *Agent) Answer(message []byte) []byte { return a.answer(message, 1) }
