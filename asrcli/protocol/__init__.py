"""Dialogues of live recognition, without sockets, threads or clocks.

Each dialogue is one object that lives as long as one connection. Whoever owns the socket calls it
and carries what it says; one loop drives them all, because all are a `dialogue.Dialogue`:

    dialogue = RunTask(RunTaskOptions(model="fun-asr-realtime"))
    # connect to dialogue.url(base) with dialogue.headers and the key, then:
    dialogue.start()
    while not dialogue.over:
        # 1. send what dialogue.messages_to_send() returns, in order
        # 2. if dialogue.accepts_audio: dialogue.send_audio(chunk), at most limits.pace x real time
        # 3. give each message of the socket to dialogue.receive(message)
        # 4. if none came for dialogue.patience seconds: dialogue.timed_out()
        # 5. if the socket ended, for any reason: dialogue.closed(code, reason)
        # 6. act on dialogue.events_received(); at the end of capture dialogue.finish(), once
    # close the socket with 1000; after Failed with another retry than NEVER, connect again with
    # a new dialogue and send the audio past dialogue.acknowledged once more, or else give_up()

Modules: `run_task` (fun-asr, paraformer, gummy, qwen-audio), `realtime_asr` (qwen3-asr realtime),
`realtime_omni` (qwen omni realtime), `realtime_openai` and `realtime_vllm` (servers of one's own);
`events` are what comes out, `failures` tell what a status or a close code means, `dialogue` is the
common interface. Where `dialogue.manual`, the caller also says where utterances end, with
`end_utterance`; elsewhere the service finds that out.
"""
