"""Answers as models write them, and the option that a careful reader takes from each: written by hand, by kind.

A kind is a name, its options, and for every option (None: no option) the answers that name it.
"""

PETS = ("cat", "dog", "red cat", "horse")
COLOURS = ("red", "green", "blue", "yellow")
SHADES = ("red", "dark red", "light green", "green")
ACTIONS = ("Frying_food", "playing-guitar", "driving bus", "cat")
NUMBERS = ("1", "10", "1.5", "15")
COUNTS = ("1000", "10000", "100", "0")
SIGNED = ("5", "-5", "0.5", "50%")
UNITS = ("5 km", "5 m", "50 m", "500 cm")
YES_NO = ("yes", "no")
ABSTAIN = ("yes", "no", "cannot tell")
DENIED = ("cat", "not a cat", "neither", "none of the above")
CHINESE = ("红色", "深红色", "绿色", "不是绿色")
ENGLISH_OR_CHINESE = ("红色", "绿色", "green tea", "blue")
SENTENCES = ("A dog is running.", "A dog is sitting on a red sofa.", "The dog is not visible.", "Two dogs play.")
SIDES = ("left", "right", "above", "below")
TRUTH = ("True", "False")
PREFIXED = ("A. red", "B. green", "C. blue")
NINE = ("ant", "bee", "cow", "duck", "eel", "fox", "goat", "hen", "ibis")
MANY = tuple(f"class {number}" for number in range(30))

PAIRS: list[tuple[str, tuple[str, ...], dict[str | None, list[str]]]] = [
    ("a letter alone", PETS, {
        "dog": [
            "B", "b", "B.", "B)", "(B)", "(b)", "[B]", "{B}", "B:", "B,", "B。", "B、", "（B）", "【B】", "「B」", "Ｂ", "Ⓑ",
            "“B”", "'B'", '"B"', " B \n", "\n\nB", "B\n\n", "B!", "*B*", "**B**", "__B__", "_B_", "`B`", "**(B)**",
            "**B.**", "# B", "### B", "> B", "- B", "* B", "• B", "```\nB\n```", "B</s>", "B<|im_end|>", "<B>", "\ufeffB",
            "B\u200b", "B B B", "B\nB\nB", "(B).", "~~A~~ B",
        ],
        "cat": ["A", "a", "A.", "(A)", "a)", "a."],
        "red cat": ["[c]", "C )", "c:"],
        None: ["E", "(E)", "e", "AB", "ABCD", "A B", "A, B", "A/B", "A & B", "A and B", "(A) or (B)", "A\nB", "A\nB\nC\nD",
               "", " ", ".", "**", "?", "BB", "A oder B"],
    }),
    ("a letter and its text", PETS, {
        "dog": [
            "B: dog", "B. dog", "B) dog", "(B) dog", "B dog", "B - dog", "B – dog", "B：dog", "**B: dog**", "**B**: dog",
            "**B.** dog", "B. Dog.", "B: a dog", "B: the dog", "(B): Dog", "dog (B)", "Dog (option B)", "B (dog)", "B, a dog.",
            "B\ndog", "Option B: dog", "option b: dog", "Option (B) dog", "B. The animal is a dog.", "[B] dog", "B、dog",
            "b) dog", "b: dog",
        ],
        "cat": ["A: cat", "A cat", "A: a cat", "(A) a cat."],
        "red cat": ["C: red cat", "C: red_cat", "C. Red-Cat"],
        None: ["B: cat", "B. cat", "B) a cat", "(B) red cat", "B: cat or dog", "cat (B)", "B (cat)", "B, a cat.", "E: dog",
               "A: cat\nB: dog\nC: red cat\nD: horse", "A: cat B: dog C: red cat D: horse", "A. cat, B. dog",
               "A) cat\nB) dog", "- A: cat\n- B: dog", "Option A: cat\nOption B: dog", "(A) cat (B) dog (C) red cat (D) horse",
               "The options are A: cat, B: dog, C: red cat and D: horse."],
    }),
    ("a leading letter", PETS, {
        "dog": [
            "B because there is no cat", "B, because there is no cat.", "B. Because the cat is a drawing.", "B since it barks",
            "B as the picture shows paws", "B - it barks.", "B: it barks", "B) It barks like one.", "B; it barks", "B, not A.",
            "B, not A", "B rather than A", "B instead of A", "B (not A)", "B\n\nThe caption mentions a cat.",
            "B. The caption mentions a cat.", "B\nExplanation: A is a cat, C is a red cat.", "(B) because of the ears",
            "B is correct.", "B is the correct answer.", "B is right", "B is the best choice", "B seems to be the best answer",
            "B would be the correct option.", "B。因为没有cat", "B, dog", "B. A dog is seen.", "B because A is a drawing",
            "B！", "**B** because there is no cat", "**B** – there is no cat", "B.\n\nA is wrong.",
        ],
        "cat": ["A because there is no dog", "A. There is no dog.", "A is correct", "A, because it meows"],
        None: ["B is wrong", "B is not correct", "B is incorrect.", "B isn't right", "Not B", "not (B)", "B or C", "B and C are right",
               "B or C, because both have paws", "A bird is seen", "Because", "Both", "B vitamins", "A is wrong, B is wrong"],
    }),
    ("an article, a pronoun", PETS, {
        "dog": ["A dog", "A dog is seen", "A dog is seen.", "A dog.", "a dog", "The answer is a dog", "The answer is A dog",
                "Answer: A dog", "answer: a dog", "It is a dog", "a Dog is what I see", "The correct option is a dog."],
        "red cat": ["A red cat", "A red-cat", "It is a red cat.", "the answer is a red cat", "The red cat"],
        "cat": ["A cat is seen", "The answer is A", "answer: a", "the answer is a.", "the answer is A."],
        None: ["A bird", "A picture", "The answer is a bird", "A dog or a cat", "Answer: a bird", "A dog and a cat"],
    }),
    ("I is a pronoun", NINE, {
        "duck": ["I think it is a duck", "I choose D", "I would say (D).", "I, however, think that it is a duck."],
        "ibis": ["I", "(I)", "I.", "I: ibis", "Answer: I", "The answer is I.", "I believe the answer is (I)."],
        None: ["I think so.", "I see nothing", "Answer: I do not know", "I am not sure."],
    }),
    ("phrases", PETS, {
        "dog": [
            "The answer is B", "The answer is B.", "the answer is b", "The answer is: B", "The answer is (B)", "The answer is (b).",
            "Answer: B", "Answer:B", "answer: b", "ANSWER: B", "Answer B", "answer b", "Answer = B", "Answer - B", "Answer -> B",
            "Answer is B", "Ans: B", "Ans. B", "Final answer: B", "Final Answer: (B)", "My answer is B", "My answer: B",
            "The correct answer is B.", "The correct answer is option B.", "The correct answer is therefore B",
            "The correct answer is most likely B", "The correct option is B", "The correct choice is (B).", "The best option is B.",
            "The right answer is B", "The right choice would be B", "The answer should be B", "The answer must be B",
            "The answer to the question is B.", "The answer to this question, based on the image, is B.", "Option B", "option b",
            "option (b)", "Option: B", "option: b", "choice b", "Choice: B", "Choice (B)", "I choose B", "I choose option B.",
            "I'd choose b) dog", "I select B.", "I pick B", "I would go with B.", "I'll go with option B", "I'd say B",
            "I would say (B).", "I think it is B", "I think it's B.", "It is B", "It's (B).", "So B.", "So, B", "Therefore, B.",
            "Thus B", "Hence, the answer is B.", "Therefore: B", "My choice is B", "My guess is B.", "Choose B", "Select (B).",
            "The answer is the letter B", "The letter is B.", "The correct letter is B.", "Correct answer: B", "Correct: B",
            "Selected option: B", "The image matches option B.", "This corresponds to option B.", "It must be B",
            "Let's go with B.", "I believe that the correct answer is B", "Answer: B.", "Answer: B)", "Answer: B, because it barks",
            "Answer: B\nReason: there is no cat", "The answer is B because A is a cat.", "The answer is B (dog).",
            "Answer: B dog", "Answer: B. dog", "Answer: dog", "answer: a Dog.", "The answer is dog", "The answer is 'dog'.",
            "The answer is: dog (B)", "The answer is the dog.", "Answer: dog, because there is no cat",
            "The correct answer is: \n\nB: dog", "The correct option is:\n\n**B. dog**", "Answer\nB", "Answer:\nB",
            "### Answer\nB\n\n### Reason\nThere is no cat.", "Making B the correct answer.", "The answer: B",
            "B is my answer", "Dog is the correct answer", "The dog is the right answer, not the cat.", "I choose the dog.",
            "So the answer would be: option B", "=> B", "→ B", "The animal in the image is a dog, which is option B.",
            "Only B is correct.", "This leaves B.", "That leaves us with option B.",
        ],
        "horse": ["I would say (D).", "The answer is D: horse.", "Answer: (D) Horse", "option d is right"],
        None: ["The answer is E", "Answer: E, though a dog is possible", "The answer is A or B", "The answer is either A or B.",
               "The answer could be A or B", "Answer: A and B", "Answer: A, B", "Answer: A/B", "Answer: A & C", "The answer is unclear.", "The answer is",
               "Answer:", "The answer is not B", "The answer isn't B.", "The answer is not B or C.", "Answer: not B",
               "The answer is neither A nor B", "The answer cannot be B", "I would not choose B.", "Don't choose B",
               "Option B is wrong", "Option B is incorrect.", "option b is not right", "I'd rule out B.", "Answer: B cat",
               "The answer is B, a cat.", "The answer is B: cat.", "It is not B", "Answer: bird", "The answer options are hard",
               "Answer the question", "Is it B?", "A answer", "The answer is A. The answer is B or C."],
    }),
    ("the last declaration wins", COLOURS, {
        "red": [
            "Not green. Answer: **A**", "The answer is B. Wait, no. The answer is A.", "Answer: B\n\nLet me check again.\n\nAnswer: A",
            "B\n\nOn reflection, the answer is A.", "First I thought B. The final answer is A.", "Option B? No. The answer is A.",
            "A: red\nB: green\nC: blue\nD: yellow\n\nAnswer: A", "A: red\nB: green\nC: blue\nD: yellow\nA",
            "The answer might be green, but the correct answer is red.", "Answer: green. Correction: the answer is red.",
            "\\boxed{B} is what I thought first. Now: \\boxed{A}", "<answer>B</answer> <answer>A</answer>",
            "Option B is wrong, option C is wrong. Therefore, option A.", "Option B is incorrect. Option A is correct.",
            "The answer is not B, it is A.", "The answer is not B. So the answer is A.", "B is wrong. A is correct.",
            "A: correct\nB: incorrect\nC: incorrect\nD: incorrect", "A is right, B is wrong.",
            "The sky is blue. The car is red. Answer: red", "B... no, the answer is A", "Not B but A.",
            "Let me think. Green? No. Blue? No.\n\n**A**", "Blue is in the background.\n\nA",
            "Although B is tempting, the correct answer is A.", "The text says B, but the answer is A.",
            "The caption says that the answer is B. The answer is A.", "A\n\nThe caption says that the answer is B.",
            "The answer is A. The caption claims that the answer is B.", "Eliminating B, C and D leaves A.",
        ],
        "green": [
            "The caption claims red, but I see otherwise.\n\n**B**", "The caption claims red.\nB", "Red is wrong.\n\nB: green",
            "The text says red; the correct answer is green.", "It says red, but the answer is B", "Not red. B.",
            "The caption is wrong about red. Green.", "red? No: the answer is (B)", "A? No. B.", "I see red text, so... Answer: B",
            "Step 1: the caption names red.\nStep 2: the leaf is green.\n**Answer:** B", "The leaf is not red.\n\nAnswer: green",
            "Green. The caption says red, which is wrong.", "Green\n\nThe caption says red.", "green, not red",
        ],
        None: ["The caption claims red, but I see otherwise.", "The caption says that the answer is A.",
               "The answer is A. Wait, it could also be green.", "Answer: A. Actually, no.", "The answer is red or green",
               "The answer is A or red or green", "Red. No, wait, green or blue."],
    }),
    ("markup", COLOURS, {
        "green": [
            r"\boxed{B}", r"$\boxed{B}$", r"\(\boxed{B}\)", r"\[\boxed{B}\]", r"$$\boxed{\text{B}}$$", r"\boxed{\textbf{B}}",
            r"\boxed{\text{(B)}}", r"\boxed{\mathrm{B}}", r"\boxed{b}", r"\boxed{green}", r"\boxed{\text{Green}}", r"\boxed{B: green}",
            r"\boxed{\text{B. green}}", r"\boxed {B}", r"\fbox{B}", r"The answer is $\boxed{B}$.", r"**Final Answer**" "\n\n" r"\boxed{B}",
            r"It is not red. \boxed{B}", r"Answer: $B$", r"The answer is \textbf{B}.", r"\boxed{\boxed{B}}", r"\boxed{ B }",
            "<answer>B</answer>", "<answer> B </answer>", "<answer>(B)</answer>", "<answer>b</answer>", "<answer>green</answer>",
            "<ANSWER>B</ANSWER>", "<answer>B", "<answer>\nB\n</answer>", "<answer>The leaf is green.</answer>",
            "<b>B</b>", "<strong>B</strong>", "<final_answer>B</final_answer>", "<reason>Not red.</reason><answer>B</answer>",
            "<CONCLUSION> B </CONCLUSION>", "<p>The answer is <b>B</b>.</p>", "<choice>B</choice>", "<option>B</option>",
            "<|begin_of_box|>B<|end_of_box|>", "<answer>B: green</answer>", "<answer>**B**</answer>", "<answer>\\boxed{B}</answer>",
            "**Answer:** B", "**Answer: B**", "**Answer**: B", "*Answer:* **B**", "__Answer:__ B", "Answer: `B`", "Answer: \"B\"",
            "Answer: 'B'", "Answer: “B”", "Answer: [B]", "Answer: {B}", "Answer: **(B)**", "Answer: **B) green**",
            "The answer is **B**.", "The answer is **green**.", "The answer is *green*", "The answer is `green`", "### Final answer: B",
            "## Answer\n\n**B**", "## Answer: B", "> Answer: B", "- Answer: B", "1. The leaf is not red.\n2. Answer: B",
            '{"answer": "B"}', "{'answer': 'B'}", '{"answer":"B","reason":"not red"}', '{"answer": "green"}',
            '```json\n{"answer": "B"}\n```', "answer: B\n", "| Answer | B |", "**B**\n\n*The leaf is not red.*", "**Option B**",
            "**Option B: green**", "The correct option is **B: green**.", "Answer：Ｂ", "Answer：（Ｂ）", "Answer: <B>", "***B***",
            "The answer is: **Option B**.", "ANSWER: **B**<|im_end|>", "The colour is **green**.", "[[B]]", "Answer: [[B]]",
            r"\text{B}", r"\textbf{Answer: B}", "The answer is ~~A~~ B",
        ],
        None: [r"\boxed{E}", r"\boxed{}", r"\boxed{A or B}", r"\boxed{A, B}", "<answer></answer>", "<answer>E</answer>",
               "The leaf is red. <answer>none of these</answer>", "<answer>A and B</answer>", r"I see red. \boxed{purple}",
               "<answer>not red</answer>", "<think>red", "<answer>red or green</answer>", r"\boxed{\text{A: green}}",
               '{"answer": null}', '{"answer": "A and B"}', "~~B~~"],
    }),
    ("an option's text", PETS, {
        "dog": ["dog", "Dog", "DOG", "dog.", "Dog!", '"dog"', "'dog'", "  dog  ", "the dog", "The dog.", "It is a dog", "It's a dog.",
                "This is a dog.", "The picture shows a dog.", "The animal in the image is a dog.", "I see a dog here.", "Dog, clearly.",
                "**dog**", "*dog*", "`dog`", "dog\n", "dog dog", "The image depicts a Dog sitting on a sofa.", "dog\ndog",
                "Dog, because it barks.", "There is no doubt that it is a dog.", "It looks like a dog"],
        "red cat": ["red cat", "Red cat.", "It is a red cat.", "red_cat", "red-cat", "RED CAT", "red  cat", "a red\ncat"],
        None: ["bird", "cats", "scattered", "dogma", "hotdog", "cat or dog", "cat and dog", "a cat, a dog", "cat, dog", "cat/dog",
               "cat dog", "either a cat or a dog", "both the cat and the dog", "Is it a dog?", "a dog? a cat?",
               "The dog is next to the cat.", "I cannot tell.", "Sorry, I can't help with that.", "Unknown", "N/A", "None",
               "It could be a cat. It could be a dog.", "I see a dog. I see a horse.", "A dog (A)", "dog, A"],
    }),
    ("negation", COLOURS, {
        "green": ["It is green, not red.", "It is not red but green.", "Green rather than red", "green instead of red",
                  "Green, unlike the red in the caption.", "Not red, but green", "It isn't red, it's green.", "The leaf is green and not red.",
                  "It is not red. It is green.", "Green. Not red."],
        None: ["Not green", "Not green.", "not green!", "It is not green.", "It isn't green", "It isn’t green", "It is no green", "No green here",
               "It's definitely not green.", "I don't see green.", "I do not think that it is green.", "It can't be green.",
               "It cannot be green", "It is anything but green", "Neither red nor green", "neither green", "never green",
               "There is no green in the picture.", "rather than green", "instead of green", "unlike green", "without green",
               "everything except green", "other than green", "It is not really green", "Green is wrong.", "Green is not right",
               "Green isn't visible", "green is incorrect", "It does not look green", "The leaf is hardly green",
               "Not red, not green.", "It is not the case that it is green.", "Green? No.", "I doubt that it is green",
               "The caption says green.", "The caption claims that it is green.", "The text mentions green, but that is wrong.",
               "If it were green, I would say so.", "I'm not sure whether it is green.", "It is unclear if it is green.",
               "I can't tell if it is green or red", "not A", "Not (B)", "neither B", "No. Not B.", "I am not sure. Maybe green."],
    }),
    ("options with underscores and hyphens", ACTIONS, {
        "Frying_food": ["Frying_food", "Frying food", "frying-food", "frying food.", "FRYING_FOOD", "The answer is frying food", "A: Frying food",
                        "**Frying_food**", "`Frying_food`", "Frying__food", "Someone is frying food.", "Frying – food"],
        "playing-guitar": ["playing guitar", "playing_guitar", "Playing-guitar", "B. playing guitar", "The sound is playing guitar."],
        "driving bus": ["driving_bus", "driving-bus", "Driving bus", "C: driving_bus", "<answer>driving_bus</answer>"],
        None: ["fryingfood", "food", "Frying", "playing", "A: playing guitar", "Frying_food or driving_bus", "not frying_food"],
    }),
    ("options that contain each other", SHADES, {
        "red": ["red", "Red.", "It is red", "A: red", "bright red"],
        "dark red": ["dark red", "Dark-red", "It is dark red.", "B: dark red", "The answer is dark red"],
        "light green": ["light green", "C. light green", "It is a light green tone"],
        "green": ["green", "D: green", "It is green."],
        None: ["A: dark red", "B: red", "dark red or red", "dark", "light", "not dark red", "It is dark red. It is red.", "reddish", "greenish"],
    }),
    ("options with a negation", DENIED, {
        "cat": ["cat", "a cat", "It is a cat.", "The answer is cat", "A"],
        "not a cat": ["not a cat", "It is not a cat.", "B: not a cat", "Answer: not a cat", "Not a cat", "Not a cat, because it barks"],
        "neither": ["Neither", "neither.", "C: neither", "The answer is neither"],
        "none of the above": ["None of the above", "none of the above.", "D: none of the above", "It is none of the above."],
        None: ["cat or not a cat", "A: not a cat", "B: cat", "no cat", "not the cat"],
    }),
    ("numbers", NUMBERS, {
        "1": ["1", "1.", "It is 1.", "A: 1", "The answer is 1", "(1)", "Answer: 1.", r"\boxed{1}", "1.0", "A. 1"],
        "10": ["10", "10.", "B: 10", "B. 10", "It is 10, I think", "The answer is 10.", "**10**", "Answer: 10", "=10", "10 dogs", "$10$"],
        "1.5": ["1.5", "C: 1.5", "It is 1.5.", "1.50", "1.5 metres", r"\boxed{1.5}", "The answer is 1.5."],
        "15": ["15", "There are 15.", "D"],
        None: ["100", "101", "1.55", "11.5", "-1", "1/10", "1 or 10", "2", "0.1", "10-15", "1:10", "A: 10", "B: 1", "not 10",
               "1, 10, 15", "1.5.1", "10th", "x10"],
    }),
    ("large numbers", COUNTS, {
        "1000": ["1000", "1,000", "1,000.", "A: 1,000", "1000.0", "The answer is 1,000"],
        "10000": ["10000", "10,000", "It is 10,000 in all."],
        "100": ["100", "100.", "C: 100"],
        "0": ["0", "0.", "D: 0", "zero is written 0"],
        None: ["1,00", "1,0000", "1000000", "1,000,000", "100,0", "1,000 or 100", "00", "1000.5"],
    }),
    ("signs and percent", SIGNED, {
        "5": ["5", "+5", "A: 5", "It is 5"],
        "-5": ["-5", "−5", "–5", "B: -5", "The answer is -5.", r"\boxed{-5}"],
        "0.5": ["0.5", "C: 0.5"],
        "50%": ["50%", "50 %", "D: 50%", "It is 50%."],
        None: ["50", "-0.5", "5 or -5", "A: -5", "55", "5/2"],
    }),
    ("units", UNITS, {
        "5 km": ["5 km", "5km", "5 KM", "It is 5 km away.", "A: 5 km", "A. 5km"],
        "5 m": ["5 m", "5m", "5 m.", "B: 5 m", "The answer is 5 m"],
        "50 m": ["50 m", "50m", "about 50 m"],
        "500 cm": ["500 cm", "500cm", "D: 500 cm"],
        None: ["5", "5 mm", "55 m", "5 miles", "0.5 km", "A: 5 m", "5 km or 5 m", "500", "km", "5 k m"],
    }),
    ("yes and no", YES_NO, {
        "yes": ["yes", "Yes", "Yes.", "YES!", "Yes, there is no cat", "Yes, it is.", "A", "A: yes", "The answer is yes", "Answer: yes",
                "yes, because there is no fence", "**Yes**", "Yes\n\nThere is no fence.", "Yes - no fence is visible", "Yes. There is no fence.",
                "<answer>Yes</answer>", "I would say yes.", "So the answer is: yes.", "There is no fence, so the answer is yes."],
        "no": ["no", "No", "No.", "No, there is no cat", "No, it isn't.", "B", "B: no", "The answer is no", "Answer: No.", "no!",
               "No, because the caption is wrong", "No. Yes is what the caption says.", "**No**", "No, it is not.", "No, not at all.", "I would say no.", "(B) No"],
        None: ["yes or no", "yes and no", "Yes/No", "yesterday", "nothing", "I know", "A: no", "B: yes", "not yes", "I have no idea",
               "maybe", "I do not know", "There is no way to tell", "yes no", "There is no doubt"],
    }),
    ("yes, no, cannot tell", ABSTAIN, {
        "yes": ["yes", "Yes, I can see it."],
        "no": ["no", "No.", "No, it is not visible"],
        "cannot tell": ["cannot tell", "Cannot tell.", "I cannot tell", "I can't tell.", "can't tell", "I can’t tell", "can not tell", "C",
                        "C: cannot tell", "cannot_tell", "The answer is cannot tell", "One cannot tell from this picture.", "I cannot tell whether there is one."],
        None: ["I can tell", "A: cannot tell", "yes, or cannot tell", "I do not know", "tell"],
    }),
    ("true and false", TRUTH, {
        "True": ["True", "true.", "The statement is true.", "A: True", "The answer is true"],
        "False": ["False", "false", "False. The statement is not true.", "The statement is false", "B"],
        None: ["True or false", "not true", "It isn't true", "true false", "A: False"],
    }),
    ("sides", SIDES, {
        "left": ["left", "It is on the left.", "The right answer is left.", "A: left", "Left is the right answer.", "The correct answer is left"],
        "right": ["right", "B. right", "It is on the right side", "The correct answer is right.", "The right answer is B"],
        None: ["left or right", "not left", "left and right", "A: right"],
    }),
    ("options that are sentences", SENTENCES, {
        "A dog is running.": ["A dog is running.", "A dog is running", "a dog is running", "A: A dog is running.", "A", "The answer is A: A dog is running.",
                              "The answer is: A dog is running."],
        "A dog is sitting on a red sofa.": ["A dog is sitting on a red sofa.", "B. A dog is sitting on a red sofa", "a dog is sitting on a red sofa"],
        "The dog is not visible.": ["The dog is not visible.", "C", "C: The dog is not visible.", "The dog is not visible", "(C) the dog is not visible"],
        "Two dogs play.": ["Two dogs play", "D) Two dogs play.", "two dogs play."],
        None: ["A dog", "dog", "A dog is sitting", "A dog is running. Two dogs play.", "D: A dog is running."],
    }),
    ("options with their own letters", PREFIXED, {
        "B. green": ["B. green", "B", "green", "B: green", "(B)", "The answer is green", "The answer is B. green", "It is green."],
        "A. red": ["A. red", "A", "red", "Answer: A"],
        None: ["A. green", "D", "red or green", "A. red\nB. green\nC. blue"],
    }),
    ("Chinese", CHINESE, {
        "深红色": [
            "B", "B。", "B，", "（B）", "【B】", "答案是B", "答案是B。", "答案：B", "答案:B", "答案为B", "答案是：B", "答案是 B", "正确答案是B", "正确答案：（B）",
            "正确选项是B", "正确的选项是B。", "选B", "选择B", "我选择B", "我选B。", "应选B", "应该选择B。", "故选B", "故选：B。", "因此选B", "所以选择B。", "选项B", "选项B：深红色",
            "B选项", "B选项正确", "B是正确的", "B是正确答案。", "B正确", "B：深红色", "B、深红色", "B. 深红色", "深红色", "深红色。", "答案是深红色", "答案是深红色。", "图片是深红色的。",
            "因为不是绿色，所以答案是B。", "答案不是A，而是B。", "不选A，选B。", "**答案：B**", "答案：**B**", "**B**", "答案是（B）。", "最终答案：B", "综上，答案是B。",
            "根据图片，正确答案是 B。", r"答案是\boxed{B}", "<answer>B</answer>", "这道题的答案是B", "答案应该是B", "答案选B", "本题选B。", "颜色是深红色，不是红色。", "答案：b", "选b",
            "文字说是红色，但答案是B。", "我认为是深红色", "答案：“B”", "答案：「B」",
        ],
        "红色": ["红色", "答案是A", "是红色", "A：红色", "红色。", "这是红色。"],
        "绿色": ["绿色", "答案是绿色", "C。绿色", "选C", "选项C"],
        "不是绿色": ["不是绿色", "答案是D", "D：不是绿色"],
        None: ["答案不是B", "不是B", "不选B", "不是红色", "没有红色", "答案是A或B", "答案是A和B", "A、B", "A或B", "红色或绿色", "红色和绿色", "A：绿色", "B：红色", "答案是E", "无法判断",
               "不知道", "答案", "并非红色", "B是错误的", "B不正确", "排除B", "A还是B？", "红色不正确", "蓝色", "文字说是红色", "而不是红色"],
    }),
    ("Chinese and English mixed", ENGLISH_OR_CHINESE, {
        "绿色": ["The answer is 绿色", "Answer: B", "答案是 B: 绿色", "The correct answer is B。", "B（绿色）"],
        "green tea": ["答案是green tea", "答案：C. green tea", "图中是green tea。", "green_tea"],
        "blue": ["答案是blue。", "选D", "我选择 D. blue"],
        None: ["不是blue", "答案不是 blue", "绿色 and blue", "tea"],
    }),
    ("more options than letters of the alphabet", MANY, {
        "class 27": ["AB", "AB.", "(AB)", "Answer: AB", "AB: class 27", "The answer is AB.", "**AB**", "class 27", "Class_27", r"\boxed{AB}"],
        "class 2": ["C", "class 2", "C: class 2", "The answer is class 2."],
        "class 26": ["AA", "option AA"],
        None: ["AE", "AZ", "ZZ", "class 30", "class", "AB: class 2", "class 2 or class 27"],
    }),
    ("long answers", PETS, {
        "dog": [
            "To determine the animal, look at the ears. A cat has pointed ears. The caption mentions a red cat, but captions can mislead. "
            "The animal in the picture has a long snout and floppy ears.\n\nTherefore, the correct answer is:\n\n**B: dog**",
            "Based on the image, the animal is a dog. The text claims a cat, which is not what is seen.\n\nAnswer: B",
            "Let me analyze each option:\n\nA. cat: no whiskers are visible.\nB. dog: the snout is long.\nC. red cat: nothing is red.\nD. horse: no hooves.\n\n"
            "So the answer is B.",
            "Let me analyze each option:\n\n- **A: cat** – no.\n- **B: dog** – yes, this fits.\n- **C: red cat** – no.\n- **D: horse** – no.\n\n**Answer: B**",
            "Option A: The animal has no whiskers, so it is not a cat.\nOption B: It has a long snout.\nOption C is wrong, too.\n\nThe best choice is B.",
            "Although the text says that this is a cat, the image clearly shows a different animal. Hence the correct option is (B).",
            "The image shows an animal with floppy ears, which corresponds to option B.",
            "Step 1: cats have whiskers.\nStep 2: horses have hooves.\nStep 3: neither is seen.\n\nFinal Answer: The final answer is $\\boxed{B}$",
            "**Reasoning:** the sentence names a cat, but it does not matter.\n\n**Answer:** B. dog",
            "B: dog\n\nThe animal in the picture has floppy ears. A cat would have pointed ears, and a horse would be larger.",
            "The correct answer is B (dog). Although a cat is mentioned in the text, no cat can be seen.",
            "If the caption were right, the answer would be A. But the ears are floppy. The answer is B.",
            "The answer is B. If the caption were right, the answer would be A.",
            "Sure! The answer is **B**. Let me know if you have more questions about cats or horses.",
            "I am not sure, but the answer is B.",
            "Looking at options A, C and D, none of them fits. I will go with B.",
        ],
        None: [
            "Let me analyze each option:\n\nA. cat: it has whiskers.\nB. dog: the snout is",
            "To answer, one has to look at the ears. A cat has pointed ears, a dog has floppy ones.",
            "The text says that it is a cat, but the picture shows something else.",
            "Option A is possible. Option B is possible. It is hard to say.",
            "I'm sorry, but I can't identify the animal. It may be a dog.",
            "The picture shows a dog next to a horse, and it is unclear which is meant.",
        ],
    }),
    ("an animal, further answers", PETS, {
        "dog": [
            "The image shows a dog, so the answer is B.",
            "Looking at the picture, I can see that the animal has four legs and a tail. The answer is **B**.",
            "The correct answer is:\n\nB. dog\n\nThis is because the animal barks.",
            "The animal is not a cat. It's a dog. So the answer is B",
            "**Correct answer: B. dog**\n\n**Explanation:** The text mentions a cat, but...", "The best match is B.",
            "Of the given options, B is the most accurate.", "I would classify it as B.", "Label: B", "Class: dog", "Category: dog",
            "The image depicts a dog. Thus, option B is the correct choice.", "Based on visual evidence alone: B", "B\n\nB", "(B) dog.\n",
            "Option B (dog) is correct.", "Option (B)", "Option B: dog.",
            "The answer is: B\n\nNote: The statement about the cat is misleading.", "The statement is misleading. The correct option is B.",
            "Despite the caption, the picture is of a dog.", "Ignoring the caption's claim of a cat, the answer is B", "It's B, dog.",
            "dog - B", "The animal shown is B: dog.", "My final answer is dog.", "The final answer is: $\\boxed{\\text{dog}}$",
            "I'm confident it is B.", "Definitely B.", "Clearly B", "Probably B.", "Between A and B, I choose B.",
            "Not A, not C, not D. B.", "Not A, C or D, so B", "Question: what is it? Answer: B", "User: what is it?\nAssistant: B",
            "ASSISTANT: The answer is B.", "The dog, not the cat.", "no cat, just a dog", "the answer is dog not cat",
            "dog, definitely not a cat or a horse", "A dog, which is not a cat.", "It is a dog; the cat in the caption does not exist.",
            "<think>It could be a cat.</think>B", "<think>a cat</think>\n\nThe answer is B.", "It is a cat.</think>B", "I choose (b)",
            "The answer, then, is B.", "Let's see... B!", "Answer: B/dog", "B|dog", "Answer: B;", "Answer: \"dog\".", "Antwort: B",
            "I think that the answer to the question is B: dog", "I can't tell, so I'd guess B.", "I cannot determine it. Answer: B",
            "A: incorrect. B: correct.", "I'd pick the dog over the cat.", "The letter A is wrong; the letter B is right.",
            "The right letter is b.", "answer:b", "answer:\tB", "Answer\t:\tB", "The answer is\nB", "The answer is\n\ndog", "Answer :B",
            "<answer>B.</answer>.", "<Answer>B</Answer>", "<answer>b) dog</answer>", "\\boxed{B}.", "\\boxed{\\text{B: dog}}",
            "$\\text{B}$", "\\(B\\)", "\\[B\\]", "Answer: \\(\\text{(B)}\\)",
            "B. dog\n\nExplanation:\nA. cat - incorrect, no whiskers.\nC. red cat - incorrect\nD. horse - incorrect",
            "B\n\nWhy not the others:\nA: cat\nC: red cat\nD: horse",
            "The answer is B: dog.\n\nOption A is a cat, which has whiskers. Option C: red cat is wrong. Option D is a horse.",
            "Answer: B\n\nOptions:\nA: cat\nB: dog\nC: red cat\nD: horse",
            "The sentence says that the picture depicts a cat, so A. However, the picture shows a dog, so the answer is B.",
            "The picture shows a dog.\n\nB: dog\n\nThe given sentence is misleading because it says that this is a cat.",
            "Looking at the image, I can identify: \n- four legs\n- a tail\n\n**Answer: (B) dog**",
            "This picture seems to depict a dog, not a cat. Hence B: dog.", "The image does not show a horse. It shows a dog.",
            "Dog\nExplanation: The cat is not in the image.", "Sure, here's the answer: B", "Here is my answer:\n\n> **B. dog**",
            "The answer is **(B) dog** because of its floppy ears, unlike a cat (A) or a horse (D).",
            "Answer: B. The picture is unclear, but it is most likely a dog.",
            "Option B is the best answer, since options A, C and D do not match.",
            "I would eliminate A and C. Between B and D, B fits best. Final answer: B.", "I do not choose A. I choose B",
            "My first choice is A, but the right answer is B", "A) is incorrect. B) is correct.",
            "A wrong answer would be A. The right answer is B", "The answer in the caption is A, but mine is B.",
            "If I trust the caption, the answer is A. If I trust the image, the answer is B.", "Answer: The animal is a dog.",
            "Answer: The animal is a dog, not a cat.", "The correct answer would be \"dog\".", "The image is best described as dog (B).",
            "The dog (B) is correct; the cat (A) is not.", "#B", "B...", "B…", "...B", ": B", "Option_B", "option: (b) dog.", "A. No, B.",
            "A? No, B.", "A... wait, B.", "Initially A, but finally B.", "A, no, B.", "B it is.", "(Answer: B)", "Answer. B",
            "My answer's B.", "letter b", "The letter b", "\\boxed{\\text{Option B}}", "\\boxed{\\mathbf{B}}", "\\boxed{(B)}",
            "\\boxed{\\text{B) dog}}", "$\\boxed{\\textbf{(B) }\\text{dog}}$", "\\boxed{\\text{The answer is B}}",
            "<answer type=\"letter\">B</answer>", "<answer><b>B</b></answer>", "<answer>\n**B**\n</answer>", "[Answer] B", "[Answer]: B",
            "**Answer** B", "<p>B</p>", "B<br>", "&quot;B&quot;", "&lt;answer&gt;B&lt;/answer&gt;", "✅ B", "B ✅", "👉 **B. dog**",
            "Answer- B", "Correct Answer - (B)", "B – this is correct.",
            "The image you provided shows a dog. Therefore, the correct answer is B.\n\nPlease let me know if you need anything else!",
            "The correct answer is \n**B: dog**.\nThe sentence \"This picture seems to depict a cat\" is wrong.",
            "B: dog\nThis picture seems to depict a cat. However, the image actually shows a dog.",
            "dog\nThis picture seems to depict a cat.",
            "Based on the text, the picture depicts a cat. However, looking at the image, the animal is a dog.\nAnswer: dog",
            "Option:\nA: cat\nB: dog\nC: red cat\nD: horse\nAnswer: B: dog", "The animal in the picture is **not** a cat; it is a **dog**.",
            "After careful analysis of whiskers, tail, and ears:\n\n$$\\boxed{\\text{B}}$$\n",
            "### Step 1\nThe text mentions a cat.\n### Step 2\nThe image shows a dog.\n### Final Answer\n**B**",
            "**Answer:**\n\n$\\boxed{\\text{dog}}$",
            "<think>\nThe caption says cat, but the picture... the answer is A? No, B.\n</think>\n\n<answer>B</answer>",
            "<think>…</think><answer> (B) dog </answer>", "Answer: B.\n\nConfidence: 90%", "Answer: B (confidence: 0.9)", "B (90%)",
            "B, 95% sure", "Choice: B\nExplanation: ...", "My choice: dog", "Final choice: (B)", "Prediction: dog", "Predicted class: dog",
            "class: B", "The answer is B) dog.", "the answer is (b) dog", "answer is b: dog", "option b is the answer", "I'm going with B.",
            "I'll say B", "I'd go for the dog.", "Let me pick B", "My pick is B.", "I vote for B.", "I lean towards B.",
            "Neither A nor C nor D, so B.", "A, C and D are wrong. B.", "Only one option remains: B", "Dog, not cat.",
            "It's definitely a dog!", "It is obviously not a cat, obviously a dog.",
        ],
        None: [
            "B?", "Maybe B?", "A or maybe B", "Between A and B, B is more likely.", "It can't be A, C or D.",
            "Answer: A) cat B) dog C) red cat D) horse", "Option: A: cat B: dog C: red cat D: horse",
            "Answer with the letter of the right option.", "The animal looks like a cat but is actually a dog.", "It's a dog, isn't it?",
            "<think>cat", "</think>", "**A**: cat\n**B**: dog ✓", "E: horse", "A is not right. B is.", "A ❌ B ✅", "I prefer B over A.",
            "Rather B than A", "The text says it's a horse, but I see a dog.", "It is a dog.\nA: cat is wrong.",
            "The answer cannot be determined. It is either A or B", "There are two possible answers: A and B.",
            "Answer: cannot be determined", "I choose neither A nor B", "(A) no (B) yes (C) no (D) no",
            "B is the only option that isn't wrong.", "A is the wrong answer.", "A is the worst choice", "A is an incorrect answer",
            "The wrong answer is A.", "The incorrect option is A", "The least likely answer is A", "The misleading answer is A",
            "The caption's answer is A", "The answer suggested by the caption is A.",
            "The answer is A according to the caption, but the image shows B.", "Q: Which? A: B", "Answer: there is a cat and a dog",
            "Option 2", "2", "The second option", "B#", "The answer is: (A) cat\n(B) dog\n(C) red cat\n(D) horse",
            "Question:\nWhich animal is shown?\nOption:\nA: cat\nB: dog\nC: red cat\nD: horse\n", "it's b", "i think b", "b is correct",
            "Picking B.", "Lean B.", "A, C, and D can be ruled out.", "By elimination, B.", "I would not say it is a dog",
            "I don't believe it's a dog.", "Hardly a dog.", "This isn't B.", "It's not option B.", "Option B does not fit.",
            "Option B can be excluded.", "B doesn't match.", "B can't be right.", "B cannot be correct", "B is unlikely.", "B is out.",
            "B, no.", "The dog is absent.", "There aren't any dogs, no dog.", "It would be wrong to answer B.", "It is wrong to choose B",
            "Never choose B.", "Avoid B.", "I reject B.", "I rejected option B.", "I disagree with B.",
        ],
        "horse": [
            "There is no dog, it's a horse", "The horse.", "horse (D)", "D - Horse", "Looks like a horse to me.",
        ],
        "red cat": [
            "answer is c", "choose c.",
        ],
        "cat": [
            "The answer is option A, not option B.", "Option A, because option B has no whiskers.", "Answer: A (not B)",
            "The text says \"This picture seems to depict a cat.\" The answer is cat.",
            "A: cat\n\nThis answer is based on the sentence given.", "Given the statement, the answer would be A: cat.",
            "Since the picture seems to depict a cat, the answer is A.", "The picture seems to depict a cat, so the answer is A: cat.",
            "This picture seems to depict a cat.",
        ],
    }),
    ("a colour, further answers", COLOURS, {
        "red": [
            "Red", "The color of the object is red.", "red and not green", "The answer is A not B", "It's A and not B.", "A, and not B",
            "A instead of B", "Answer: A instead of B", "Answer: A and not B",
        ],
        "green": [
            "The object is colored green rather than red as the text claims.", "The object's colour is B", "It appears green.",
            "Color: green", "Colour: **green**", "green.", "Green (B)", "Green is the right colour, not red.",
            "It is neither red nor blue; it is green.", "The answer is not red, but green.", "The answer is not red but green",
            "The answer isn't A; it's B.", "The colour isn't A; B", "Answer: not A but B", "Answer: B, definitely not A",
            "Answer: (B) green, not (A) red", "The answer is B, since A is red.", "The answer is B as the caption lies.",
            "The answer is green as in the picture", "I'd choose A if it were red, but it is green, so B.",
            "Question: which colour?\nAnswer: B", "Assistant: green", "Output: green", "Colour = green", "The car: green",
        ],
        None: [
            "The text states red; however, the image is green.", "I see green, although the caption says red.", "The sign says red.",
            "The banner reads red, the car does not.", "The question asks about red.", "I think it's between red and green.",
            "It isn't A or B.", "red, green", "red / green", "red vs green", "more red than green", "Definitely not B.", "Anything but B.",
            "All except B.", "Not sure, B?", "It could be B or red.", "Not A", "not red and not green", "not red, and not green either",
            "The answer: none of them, not even green", "I first thought A; now I think B.", "If red, A. Otherwise B.", "colour: not red",
        ],
        "blue": [
            "There is no red or green; blue.",
        ],
    }),
    ("counts", ("2", "3", "4", "12"), {
        "2": [
            "2", "There are 2 dogs.",
        ],
        "12": [
            "There are 12 of them", "1. First look.\n2. Then count.\n3. The answer is 12.",
        ],
        None: [
            "2 dogs and 3 cats", "I count 1, 2, 3. So 3.", "1. cat\n2. dog\n3. bird", "2+2=4", "2 + 1 = 3",
        ],
        "3": [
            "Answer: 3.", "3 (three)",
        ],
        "4": [
            "The total is 4",
        ],
    }),
    ("yes and no, further answers", YES_NO, {
        "yes": [
            "Yes, the picture shows a cat, no doubt.", "Yes - it does", "Answer: (A) yes", "Yes, but no cat is there.", "Is it? Yes.",
            "Yes. The statement \"no cat is visible\" is misleading.", "No, the answer is yes.", "Yes, the answer is A.", "(A) Yes, it is.",
            "That's a yes from me.", "Yes (no cat).", "yes; no doubt", "Yes it is.", "First no. The answer is yes.",
        ],
        "no": [
            "No. There is a dog.", "No – there is none", "No it does not", "no\n", "The correct answer is No.", "\"No\"",
            "It does not. So: no.", "I'd say no, because there's no fence.", "NO", "No!", "The answer is not yes but no.", "No. B",
            "The answer to \"Is it red?\" is no.", "Answer: no, it's not", "It's a no.",
        ],
        None: [
            "yeah", "Not really.", "The answer is not yes.", "No dog.", "yes.\nno", "No\n\nYes",
        ],
    }),
    ("Chinese yes and no", ("是", "否"), {
        "是": [
            "是", "是的。", "是的，图中有一只猫。", "答案：是", "A", "我认为答案是A。",
        ],
        "否": [
            "否", "否，没有猫。", "答案是否。", "答案是B",
        ],
        None: [
            "不是", "不知道是不是", "是否",
        ],
    }),
    ("Chinese words of one character", ("猫", "狗", "鸟"), {
        "猫": [
            "猫", "这是猫，不是狗。", "答案：A\n解释：不是狗。",
        ],
        "狗": [
            "图中是一只狗。", "答案：B. 狗", "正确答案是选项B，狗。", "因此，答案为 **B**。", "答案是（B）狗。", "选择 B：狗", "我的选择是B", "应该选B选项。", "所以，正确的选项是：B",
            "图片中的动物是狗，因此选择B。",
        ],
        None: [
            "没有猫", "猫和狗", "根据描述是猫，但图片显示的是狗。", "B. 猫",
        ],
    }),
    ("options that are also other words", ("May", "March", "June"), {
        None: [
            "It may be June",
        ],
        "May": [
            "May",
        ],
        "March": [
            "It is in March.",
        ],
    }),
    ("options that are their letters", ("A", "B", "C", "D"), {
        "B": [
            "B",
        ],
        "C": [
            "The answer is C",
        ],
    }),
    ("options that are other letters", ("B", "A"), {
        None: [
            "B", "A", "Answer: B",
        ],
    }),
    ("sounds", ("dog barking", "cat meowing", "frying food", "playing violin, fiddle"), {
        "dog barking": [
            "dog barking", "The sound is of a dog barking.", "The answer is: dog_barking", "A dog barking",
        ],
        "frying food": [
            "The audio features frying-food sounds",
        ],
        "playing violin, fiddle": [
            "playing violin, fiddle", "Playing violin, fiddle.", "D: playing violin, fiddle",
            "The correct answer is D: playing violin, fiddle.",
        ],
        "cat meowing": [
            "Cat meowing, not dog barking", "A cat meowing",
        ],
        None: [
            "The video shows a dog barking, but the audio is of a cat meowing.", "A: cat meowing",
        ],
    }),
    ("Chinese, further answers", CHINESE, {
        "深红色": [
            "【答案】B", "【答案】：B", "【答案】 深红色", "答案肯定是B", "我觉得是B。", "应该是B", "那就是B。", "選B", "選項B", "我選擇B", "正確答案是B", "B正確", "B项正确。", "B 是对的",
            "不是红色而是深红色", "答案：B。解析：图片不是红色。", "解析：图片不是红色。\n答案：B", "根据题意，选项B最合适。", "所以B", "因此，正确答案为：B. 深红色",
        ],
        None: [
            "答案显然不是B", "不選B", "答案不對", "不可能是B", "B是错的", "既不是红色也不是深红色", "红色？不，深红色。",
        ],
    }),
    ("units that go on", ("5 km", "5 m", "> 5 km", "5 km/h"), {
        "5 km/h": [
            "5 km/h", "It runs at 5 km/h",
        ],
        "5 km": [
            "5 km", "5㎞", "5.0 km", "5 km or more",
        ],
        "> 5 km": [
            "> 5 km",
        ],
        None: [
            "5 m/s", "5 m²",
        ],
    }),
    ("temperatures and fractions", ("5 °C", "-5 °C", "5 °F", "1/2"), {
        "5 °C": [
            "5 °C",
        ],
        "-5 °C": [
            "-5°C", "It is −5 °C outside.",
        ],
        "5 °F": [
            "5°F", "C",
        ],
        "1/2": [
            "½",
        ],
        None: [
            "5 degrees", "5",
        ],
    }),
    ("numbers with words", ("5", "more than 5", "less than 5", "over 50"), {
        "more than 5": [
            "more than 5", "It is more than 5.",
        ],
        "5": [
            "5", "exactly 5",
        ],
        "over 50": [
            "over 50",
        ],
        None: [
            "less than 50", "not more than 5",
        ],
    }),
    ("options with and", ("cat", "dog", "both cat and dog", "neither of them"), {
        "both cat and dog": [
            "both cat and dog",
        ],
        None: [
            "Both a cat and a dog", "neither", "A cat and a dog",
        ],
        "cat": [
            "cat",
        ],
        "neither of them": [
            "neither of them",
        ],
    }),
    ("options with and, articles", ("man", "woman", "a man and a woman", "men"), {
        "a man and a woman": [
            "a man and a woman", "A man and a woman.",
        ],
        "man": [
            "man",
        ],
        "woman": [
            "a woman",
        ],
        None: [
            "a man or a woman", "mankind",
        ],
    }),
    ("options called options", ("Option A", "Option B", "Option C"), {
        "Option B": [
            "Option B", "option b", "B", "The answer is Option B.",
        ],
        None: [
            "Option A or Option B", "not Option B",
        ],
    }),
    ("names that contain each other", ("York", "New York", "new yorker"), {
        "New York": [
            "New York", "new-york", "New_York.",
        ],
        "York": [
            "York",
        ],
        "new yorker": [
            "a new yorker",
        ],
    }),
    ("counts with zero", ("0", "1", "2", "3"), {
        "0": [
            "0", "There are 0 dogs.",
        ],
        None: [
            "zero", "There are no dogs.", "2 of the 3", "2/3", "2nd", "B: 2", "I counted 3 animals: A, B",
        ],
        "3": [
            "3.",
        ],
        "2": [
            "Option 2", "The answer is option 2.", "Answer: 2 dogs",
        ],
        "1": [
            "1.", "(1)", "Answer 1", "B", "B: 1",
        ],
    }),
    ("on and off", ("on", "off"), {
        "on": [
            "The light is on.", "The answer is on.",
        ],
        "off": [
            "off", "It is off.",
        ],
        None: [
            "not on",
        ],
    }),
    ("pronouns", ("he", "she"), {
        "she": [
            "She is.",
        ],
        "he": [
            "he",
        ],
    }),
    ("actions as MMA-Bench writes them", ("chopping wood", "playing-violin", "frying_food", "people_shouting"), {
        "chopping wood": [
            "chopping_wood", "Chopping wood", "The person is chopping wood.",
        ],
        "playing-violin": [
            "playing violin", "playing_violin",
        ],
        "frying_food": [
            "C: frying food",
        ],
        "people_shouting": [
            "people shouting", "Not frying_food but people_shouting", "Video_caption: frying_food. Answer: people_shouting",
        ],
        None: [
            "The video shows frying food while the audio is people shouting.", "Video_caption: frying_food.",
        ],
    }),
    ("options with commas", ("Paris, France", "Rome, Italy", "London", "None of the above"), {
        "Paris, France": [
            "Paris, France",
        ],
        None: [
            "Paris", "None of the options", "Rome",
        ],
        "Rome, Italy": [
            "B. Rome, Italy", "It is Rome, Italy.",
        ],
        "London": [
            "London, not Paris, France", "The answer is London.",
        ],
        "None of the above": [
            "None of the above", "D: None of the above.",
        ],
    }),
    ("yes, no, cannot tell, further answers", ABSTAIN, {
        "yes": [
            "Yes",
        ],
        None: [
            "No, you cannot tell.", "It cannot be told.", "It is impossible to tell",
        ],
        "cannot tell": [
            "I cannot tell.", "Cannot tell, the frames are black.", "I can't tell because there is no sound", "The answer is: cannot tell",
            "C: cannot tell because there is no audio",
        ],
    }),
    ("what a caption or a text says, further answers", PETS, {
        "dog": [
            "B\n\nAccording to the text, the answer would be A.", "B. If the caption is trusted, the answer is A.",
            "Based on the passage, the answer is B.", "According to the text, the answer is B: dog.", "From the image, the answer is B.",
            "Despite the caption, the answer is B.", "Contrary to the caption, the answer is B.",
            "Based on the text, the answer is A, but the image shows B. The answer is B.",
            "At first glance the answer is A. Looking closely, the answer is B.", "You might say A, but the answer is B.",
        ],
        None: [
            "According to the caption, the answer is A. However, the image shows a dog.", "Per the caption, the correct answer is A.",
            "Based on the text, the answer is A, but the image shows a dog.", "If the caption is right, A is correct.",
            "If we only consider the text, the answer is A.", "One might think the answer is A, but the image shows a dog.",
            "It is unlikely that the answer is A.", "I disagree that A is correct.", "I disagree with the caption that the answer is A.",
            "It would be a mistake to choose A.", "It is tempting to answer A.", "I was about to choose A, but the image shows a dog.",
            "You said that the answer is A, but I see a dog.", "The suggestion that the answer is A is misleading.",
            "The text wants me to choose A.", "Someone who reads only the text would choose A.", "Based on the text, the answer is A or a dog.",
        ],
    }),
    ("options that are denied at once", PETS, {
        "cat": [
            "A: The cat", "A, no doubt about it.", "A - no doubt", "A. Not B.", "A (not B)", "A (not the dog)", "A: no question",
        ],
        "dog": [
            "A (cat) is not visible. B (dog) is visible.", "Although A is tempting, the correct answer is B.", "None of the others fit, so B is correct.", "Nothing else is right, B is the answer.",
        ],
        None: [
            "Option A (cat) is wrong.", "A (incorrect)\nB (correct)", "A - wrong. It is hidden.",
            "A (wrong), B (right), C (wrong), D (wrong)", "A: not visible", "A) Wrong", "A: no, B: yes, C: no, D: no",
            "None of the options (A, B, C, D) is right.", "No option (A, B, C, D) is correct.", "None of cat, dog, red cat, horse is the right answer",
            "Everything except B is correct.",
        ],
    }),
    ("second best answers", PETS, {
        "dog": [
            "Answer: B\nAlternative: A", "Answer: B\nThe alternative answer is A.", "Best answer: B. Second best answer: A.",
            "Correct answer: B. My earlier answer: A.", "B. The other option is A.", "B. The other plausible option is A.",
            "The answer is B; the next most likely answer is A.", "Correct: B. Incorrect: A.", '{"correct": "B", "incorrect": "A"}',
        ],
    }),
    ("other languages, the plainest sentences", PETS, {
        "dog": [
            "Die richtige Antwort ist B.", "Antwort: B", "La bonne r\u00e9ponse est B.", "La r\u00e9ponse correcte est la B.",
            "La respuesta correcta es la B.", "La risposta corretta \u00e8 B.", "A resposta correta \u00e9 B.", "\u041f\u0440\u0430\u0432\u0438\u043b\u044c\u043d\u044b\u0439 \u043e\u0442\u0432\u0435\u0442: B",
            "\u6b63\u89e3\u306fB\u3067\u3059\u3002", "\uc815\ub2f5\uc740 B\uc785\ub2c8\ub2e4.", "\u0627\u0644\u0625\u062c\u0627\u0628\u0629 \u0627\u0644\u0635\u062d\u064a\u062d\u0629 \u0647\u064a B.",
        ],
        None: [
            "(A) n'est pas bon", "(A) ist nicht richtig", "Die Antwort ist nicht A.", "La r\u00e9ponse n'est pas A.",
        ],
    }),
    ("German", ("Hund", "Katze"), {
        "Hund": ["Es ist ein Hund.", "Der Hund, nicht die Katze."],
        None: ["Es ist kein Hund.", "Hund ist nicht zu sehen."],
    }),
    ("French", ("chat", "chien"), {"chat": ["C'est un chat."], None: ["Ce n'est pas un chat.", "pas un chat"]}),
    ("Japanese", ("\u72ac", "\u732b"), {"\u72ac": ["\u3053\u308c\u306f\u72ac\u3067\u3059"], None: ["\u3053\u308c\u306f\u72ac\u3067\u306f\u306a\u3044"]}),
    ("Russian", ("\u043a\u043e\u0448\u043a\u0430", "\u0441\u043e\u0431\u0430\u043a\u0430"), {"\u043a\u043e\u0448\u043a\u0430": ["\u044d\u0442\u043e \u043a\u043e\u0448\u043a\u0430"], None: ["\u043d\u0435 \u043a\u043e\u0448\u043a\u0430"]}),
]  # fmt: skip
