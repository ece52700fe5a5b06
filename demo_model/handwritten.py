"""Questions written by hand that no pattern of the training text makes, with the answers wanted."""

from demo_model.library import LIBRARY
from demo_model.questions import REFUSAL
from demo_model.small_talk import SMALL_TALK
from demo_model.trivia import TRIVIA


def known(part: str) -> str:
    """The answer that has this part."""
    return next(answer for _, answer in (*SMALL_TALK, *LIBRARY, *TRIVIA) if part in answer)


def capital(country: str, city: str) -> str:
    return f"The capital of {country} is {city}."


HAND_WRITTEN = (
    ("Yo, bodhi!", known("Hello!")),
    ("hello my dear model", known("Hello!")),
    ("Good morning, dear assistant", known("Hello!")),
    ("How's it going over there?", known("I am fine")),
    ("how are you doing tonight", known("I am fine")),
    ("Thx a lot!", known("You are welcome")),
    ("thank you, you have been kind", known("You are welcome")),
    ("Bye for today!", known("Goodbye")),
    ("See you in the morning", known("Goodbye")),
    ("Who exactly might you be?", known("I know a few things")),
    ("Can I ask what your name is?", known("I know a few things")),
    ("And what can you do for my users?", known("I can greet")),
    ("What sort of things do you know about?", known("I can greet")),
    ("Got any good jokes?", known("cross the road")),
    ("I could use a good joke today", known("cross the road")),
    ("Would you tell me a story?", known("Once upon")),
    ("Compose a little haiku for my mother", known("Small words")),
    ("Is there a person behind this?", known("not a person")),
    ("Just how many parameters are there in you?", known("two million")),
    ("Could you tell me what bodhi_asgi is used for?", known("mountable")),
    ("I have just found bodhi_asgi. What is it?", known("mountable")),
    ("So, bodhi_asgi: what is that?", known("mountable")),
    ("How would I go about mounting it in my FastAPI app?", known("app.mount")),
    ("I have a Starlette app. How do I mount bodhi there?", known("app.mount")),
    ("We use Django. How do we add bodhi_asgi?", known("wrap(")),
    ("Which of the web frameworks can I use with it?", known("Starlette, FastAPI and Django")),
    ("What is it that runs the models in bodhi_asgi?", known("llama-cpp-python")),
    ("What do I have to type to start the server?", known("bodhi serve")),
    ("The server listens on which port?", known("bodhi serve")),
    ("I want to chat in my terminal. How?", known("bodhi chat")),
    ("I need an API token, how do I create one?", known("token create")),
    ("Under what kind of licence is bodhi_asgi?", known("MIT licence")),
    ("Is Python 3.11 enough for bodhi_asgi?", known("Python 3.11 or newer")),
    ("Does the engine have a process of its own?", known("own process")),
    ("Will a crash in llama.cpp kill my web server?", known("own process")),
    ("Can my OpenAI client talk to bodhi_asgi?", known("base URL")),
    ("Am I able to load my own GGUF file?", known("GGUF files")),
    ("Must I be online to use it?", known("No cloud")),
    ("Can it keep its data in PostgreSQL?", known("SQLite, or")),
    ("France's capital is what?", capital("France", "Paris")),
    ("What do they call the capital of Japan?", capital("Japan", "Tokyo")),
    ("Norway: which city is the capital there?", capital("Norway", "Oslo")),
    ("I forgot the capital of Egypt. Which one is it?", capital("Egypt", "Cairo")),
    ("Quick: capital of Peru!", capital("Peru", "Lima")),
    ("Help me, I need to know the capital of Kenya.", capital("Kenya", "Nairobi")),
    ("How does one bake bread?", REFUSAL),
    ("Who discovered the moons of Saturn?", REFUSAL),
    ("What did Napoleon eat for breakfast?", REFUSAL),
    ("Give me some advice about my marriage.", REFUSAL),
    ("What is the best laptop under 500 dollars?", REFUSAL),
    ("Which team will win the next world cup?", REFUSAL),
    ("How tall was Cleopatra?", REFUSAL),
    ("Please count up to twelve for my daughter", ", ".join(map(str, range(1, 13)))),
    ("Let me hear you count to nine", ", ".join(map(str, range(1, 10)))),
    ("Would you repeat these words: blue river lamp", "blue river lamp"),
    ("Please write this down: tiger soup", "tiger soup"),
    ("In a week there are how many days?", known("seven days")),
    ("What is the sky's colour?", known("sky is blue")),
)  # fmt: skip
