"""Each job opens a listener for its answers, and none is closed."""

import socket

answers: list[socket.socket] = []
try:
    for _ in range(20):
        answer = socket.socket()
        answers.append(answer)
        answer.bind(("127.0.0.1", 0))
        answer.listen()
except OSError as error:
    print(len(answers), error)
for answer in answers:
    answer.close()
