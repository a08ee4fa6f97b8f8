"""The people: senders that repeat a message until they are told, and readers that come back.

One asyncio loop. They know the daemon only by its address, and outlive every one of its processes.
"""

import asyncio
import urllib.parse

import daemon
import journal
import judge
import wire

WINDOW = 150  # messages without an outcome at once; more would only make the end longer
WINDOW_OF_CHAT = 4
MOST_PER_POST = 3
PAUSE_SECONDS = 0.02  # before a refused or broken request is repeated
SETTLE_SECONDS = 4.0  # without an outcome for so long: the operator's view is asked

PULL = {"http": "/v1", "gather": "/accounts/gather/v1", "ask": "/accounts/ask/v1"}
PUSH = ("desk", "keyed", "frail")
CHATS = {"http": 20, "gather": 5, "ask": 6, "desk": 16, "keyed": 5, "frail": 5}


class Message:
    def __init__(self, chat, seq, event):
        self.chat = chat
        self.seq = seq
        self.event = event
        self.number = 0  # the daemon's; 0: not told yet
        self.seen = False  # an outcome was seen
        self.told_at = 0.0


class Ledger:
    """Who was told what, and whether an outcome has come. Counts for the one who kills."""

    def __init__(self, path):
        self.journal = journal.Journal(path)
        self.window = asyncio.Semaphore(WINDOW)
        self.questions = set()  # numbers of messages that the person was asked about
        self.open = {}  # told and without an outcome, by (account, chat, event)
        self.accepted = 0
        self.asking = 0  # requests sent and not answered
        self.posting = 0  # messages that somebody is still repeating
        self.faults = []
        self.progress = 0  # grows with everything that happens

    def told(self, message, number, duplicate):
        message.number = number
        message.told_at = asyncio.get_running_loop().time()
        self.accepted += 1
        self.progress += 1
        chat = message.chat
        self.journal.note({"account": chat.account, "chat": chat.name, "seq": message.seq,
                           "event": message.event, "message": number, "duplicate": duplicate})
        if not message.seen:
            self.open[chat.account, chat.name, message.event] = message

    def outcome(self, message):
        if message.seen:
            return
        message.seen = True
        self.progress += 1
        self.open.pop((message.chat.account, message.chat.name, message.event), None)
        message.chat.window.release()
        self.window.release()

    def waiting(self):
        """Messages for which the gateway still has something to do. Any thread: the copy is made in
        one step of the interpreter."""
        return sum(message.number not in self.questions for message in list(self.open.values()))

    def fault(self, text):
        if len(self.faults) < 100:
            self.faults.append(text)


class Load:
    """The tap: senders take leave for each message here."""

    def __init__(self):
        self.on = asyncio.Event()
        self.left = 0

    def open(self, messages):
        self.left = messages
        self.on.set()

    def close(self):
        self.on.clear()

    async def leave(self, messages):
        while True:
            await self.on.wait()
            if self.left > 0:
                self.left -= messages
                return
            self.on.clear()


class Chat:
    """One conversation and its one sender."""

    def __init__(self, world, account, index):
        self.world = world
        self.account = account
        self.person = f"p{index}"
        self.name = f"{self.person}/main" if account in PULL else f"{account}-{index}"
        self.client = wire.Client(world.daemon.port, world.headers_of(account))
        self.window = asyncio.Semaphore(WINDOW_OF_CHAT)
        self.messages = []
        self.by_event = {}
        self.repeats = 0
        if account in PULL:
            name = urllib.parse.quote(self.name, safe="")
            self.path = f"{PULL[account]}/conversations/{name}"
            self.post_path = f"{self.path}/messages"
        else:
            self.post_path = f"/hook/{account}"

    def dice(self, *what):
        return journal.dice(self.world.seed, self.account, self.name, *what)

    def body(self, event, text):
        if self.account in PULL:
            return {"id": event, "text": text, "sender": self.person}
        body = {"id": event, "text": text, "sender": self.person, "chat": self.name}
        if self.account == "desk":
            body["callback"] = f"http://127.0.0.1:{self.world.receiver.server.port}/desk"
        return body

    async def send(self):
        """Message after message, for ever: the next one when the one before was acknowledged."""
        seq = 0
        while True:
            batch = self.account in PULL and self.dice("batch", seq) < 0.05
            count = MOST_PER_POST if batch else 1
            for _ in range(count):
                await self.window.acquire()
                await self.world.ledger.window.acquire()
            await self.world.load.leave(count)
            fresh = []
            for _ in range(count):
                seq += 1
                fresh.append(Message(self, seq, f"{self.account}-{self.person}-{seq}"))
            await self.post_until_told(fresh)
            if self.dice("repeat", seq) < 0.05:
                await self.repeat_an_old_one(seq)

    def text_of(self, message):
        return f"{message.event} says " + "x" * int(self.dice("length", message.seq) * 100)

    async def post_until_told(self, fresh):
        for message in fresh:
            self.by_event[message.event] = message
        bodies = [self.body(message.event, self.text_of(message)) for message in fresh]
        answer = await self.post(self.client, bodies if len(bodies) > 1 else bodies[0])
        if answer is None:
            return
        results = answer["results"] if len(bodies) > 1 else [answer]
        for message, result in zip(fresh, results, strict=True):
            self.messages.append(message)
            self.world.ledger.told(message, result["message"], result["duplicate"])

    async def post(self, client, body):
        """Until the daemon says 200 or 202. None after an answer that no crash explains."""
        ledger = self.world.ledger
        ledger.posting += 1
        try:
            while True:
                answer = await self.post_once(client, body)
                if answer is None or answer.status in (429, 500, 503, 507):
                    await asyncio.sleep(PAUSE_SECONDS)
                elif answer.status in (200, 202):
                    return answer.json()
                else:
                    ledger.fault(f"POST {self.post_path} was answered {answer.status}: "
                                 f"{answer.body[:300].decode(errors='replace')}")
                    return None
        finally:
            ledger.posting -= 1

    async def post_once(self, client, body):
        """None if no answer came."""
        await self.world.daemon.up.wait()
        self.world.ledger.asking += 1
        try:
            return await client.request("POST", self.post_path, body)
        except wire.Broken:
            return None
        finally:
            self.world.ledger.asking -= 1

    async def repeat_an_old_one(self, seq):
        """A client that forgot that it was told: it must be told the same again."""
        old = self.messages[int(self.dice("which", seq) * len(self.messages))]
        answer = await self.post(self.client, self.body(old.event, self.text_of(old)))
        if answer is None:
            return
        self.repeats += 1
        if answer["message"] != old.number or not answer["duplicate"]:
            self.world.ledger.fault(f"{old.event} was told message {old.number}, and when it was "
                                    f"repeated {answer}")

    async def read(self):
        """Follows the conversation, for ever, behind the last line that was seen."""
        client = wire.Client(self.world.daemon.port, self.world.headers_of(self.account))
        last = 0
        while True:
            await self.world.daemon.up.wait()
            try:
                async for number, name, data in client.events(f"{self.path}/events?after={last}"):
                    if number is not None:
                        last = number
                        self.read_line(data)
                    elif name == "rewind":
                        self.world.ledger.fault(f"{self.path}: the log went back to {data}")
            except wire.Broken:
                pass
            await asyncio.sleep(PAUSE_SECONDS)

    def read_line(self, line):
        world = self.world
        world.lines.note({"account": self.account, "chat": self.name, "line": line})
        world.ledger.progress += 1
        if line["kind"] == "person":
            message = self.by_event.get(line["text"].split(" ")[0])
            if message is not None:
                world.ledger.outcome(message)
        elif judge.is_question(line):
            world.ledger.questions.add(line["message"])
            world.spawn(self.decide(line["id"]))

    async def decide(self, question):
        """The person answers each question once: yes, again."""
        client = wire.Client(self.world.daemon.port, self.world.headers_of(self.account))
        event = f"retry-{question}"
        self.world.lines.note({"account": self.account, "chat": self.name, "retry": question})
        if await self.post(client, self.body(event, "/retry")) is not None:
            self.world.lines.note({"account": self.account, "chat": self.name, "decided": question})
        client.close()


class World:
    """All people, and what they share. spawn() keeps a task until close()."""

    def __init__(self, seed, process, receiver, paths):
        self.seed = seed
        self.daemon = process
        self.receiver = receiver
        self.headers = {}  # filled when there is a token
        self.ledger = Ledger(paths["clients"])
        self.lines = journal.Journal(paths["lines"])
        self.load = Load()
        self.tasks = set()
        self.chats = {}
        for account, count in CHATS.items():
            for index in range(count):
                chat = Chat(self, account, index)
                self.chats[account, chat.name] = chat

    def headers_of(self, account):
        if account in PULL:
            return self.headers
        return {"Authorization": f"Bearer {daemon.HOOK_TOKEN}"}

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.ended)

    def ended(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.ledger.fault(f"the test itself failed: {task.exception()!r}")

    def start(self):
        for chat in self.chats.values():
            self.spawn(chat.send())
            if chat.account in PULL:
                self.spawn(chat.read())
        self.spawn(self.settle_the_silent())

    async def close(self):
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def taken(self, account, chat, event, whole):
        """The receiver has kept a part."""
        self.ledger.progress += 1
        if whole and (account, chat) in self.chats:
            message = self.chats[account, chat].by_event.get(event)
            if message is not None:
                self.ledger.outcome(message)

    async def settle_the_silent(self):
        """A reply that went to the dead letters is never heard of outside. The operator can see it,
        and the window must not wait for it."""
        client = wire.Client(self.daemon.control, timeout=5.0)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.5)
            await self.daemon.up.wait()
            old = [message for message in self.ledger.open.values()
                   if loop.time() - message.told_at > SETTLE_SECONDS][:20]
            for message in old:
                try:
                    life = await life_of(client, message.number)
                except wire.Broken:
                    break
                if is_over(life):
                    self.ledger.outcome(message)


async def life_of(client, number):
    answer = await client.request("GET", f"/v1/admin/messages/{number}")
    return answer.json() if answer.status == 200 else None


def is_over(life):
    """Nothing more will come of this message."""
    return (life is not None and not life["pending"]
            and all(part["outcome"] is not None for part in life["parts"]))
