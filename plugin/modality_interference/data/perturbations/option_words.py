"""English words that decide in which sentence an option stands; see `claims`. Lists, no rules; all in small letters."""

UNCOUNTABLE = frozenset(
    # food and drink
    """water milk juice coffee tea beer wine champagne whiskey soda lemonade cocoa soup rice pasta spaghetti macaroni bread toast
    butter cheese yogurt cream honey sugar salt flour oil vinegar sauce ketchup mustard mayonnaise chocolate meat beef pork
    chicken bacon ham lamb veal poultry seafood salmon tuna shrimp sushi tofu broccoli cauliflower spinach lettuce cabbage celery
    garlic ginger corn wheat barley oats fruit cereal popcorn food jam jelly parsley basil mint cilantro asparagus hummus couscous
    ramen kale quinoa dough gravy candy pepperoni
    """
    # matter
    """grass sand snow ice mud dirt soil clay gravel rain hail fog mist smoke steam dust ash fire lava air wind lightning thunder
    wood metal steel iron gold silver copper bronze brass aluminum plastic rubber glassware leather cotton wool silk denim fabric
    cloth paper cardboard concrete cement asphalt brick marble granite paint ink glue tape string rope wire foam hair fur skin
    blood oxygen hydrogen nitrogen helium carbon sodium potassium calcium magnesium lithium ceramic gasoline petrol electricity moss seaweed bamboo hay straw foliage vegetation
    greenery wildlife livestock cattle sheep deer
    """
    # things, taken together
    """furniture luggage baggage clothing jewelry equipment machinery traffic mail money cash garbage trash rubbish litter waste
    silverware cutlery tableware pottery software hardware artwork graffiti scenery lumber underwear footwear makeup fishing
    """
    # activities, times, ideas
    """tennis baseball football soccer basketball volleyball hockey golf cricket rugby badminton softball lacrosse polo chess
    poker bowling yoga surfing skiing snowboarding skateboarding swimming homework housework music art news information weather
    sunshine sunlight darkness daylight daytime night day midday summer winter spring autumn morning evening afternoon nighttime dusk dawn christmas
    halloween easter breakfast lunch dinner chaos happiness sadness anger fear love peace safety energy gravity friction magnetism evolution
    photosynthesis erosion condensation evaporation precipitation
    """.split()
)
PLURAL = frozenset(
    """people men women children feet teeth geese mice lice oxen dice police clothes fungi cacti octopi bacteria larvae mitochondria menus emus
    gurus gnus skis taxis kiwis bikinis zucchinis alumni data media""".split()
)
NOT_MEN = frozenset("specimen abdomen omen acumen stamen cyclamen regimen hymen semen".split())
SINGULAR = frozenset(
    "triceratops gas lens atlas bias alias pancreas canvas rhinoceros thermos cosmos ethos yes chaos".split()
)
COLOURS = frozenset(
    """red blue green yellow black white brown gray grey purple beige maroon tan teal navy cyan magenta crimson scarlet khaki
    burgundy aqua turquoise violet multicolored multicoloured colorful colourful blond blonde reddish bluish greenish yellowish
    brownish grayish greyish pinkish purplish whitish blackish pink""".split()
)
COLOURS_OR_NOUNS = frozenset("orange gold silver rose peach lime olive lavender salmon bronze copper".split())
SHADES = frozenset("light dark very bright pale deep too quite mostly partly and or".split())
QUALITIES = frozenset(
    """big small large little tiny huge tall short long wide narrow thick thin high low old young new modern ancient antique hot
    cold warm cool wet dry moist clean dirty full empty open closed shut on off broken whole hard soft smooth rough sharp dull
    heavy light fast slow quick loud quiet silent calm happy sad angry mad scared afraid tired bored hungry thirsty sick healthy
    alive dead asleep awake sunny cloudy rainy snowy windy foggy stormy hazy humid misty overcast clear wooden metallic golden
    woolen plastic transparent opaque shiny fuzzy furry hairy bald round square rectangular triangular circular oval flat curved
    curly straight wavy crooked floral plaid checkered striped spotted solid liquid gaseous rigid flexible elastic fresh
    ripe rotten raw cooked sweet sour salty bitter spicy crunchy sticky slippery bumpy stretchy blurry busy crowded rural urban
    residential commercial male female single married rich poor strong weak safe dangerous easy difficult hard good bad great
    beautiful pretty ugly cute nice expensive cheap left-handed right-handed same different similar equal vertical horizontal
    diagonal parallel perpendicular digital analog electric manual public private vacant fake real true false serious playful
    excited relaxed surprised confused worried proud lonely shy brave clever lazy polite rude kind cruel
    french german italian spanish english british american chinese japanese korean indian mexican canadian russian african asian
    european australian brazilian greek turkish egyptian thai vietnamese dutch swedish irish scottish polish arabic latin
    """.split()
)
NOUNS_LIKE_QUALITIES = frozenset(  # -ed, -ous, -less, -ful
    """bed shed sled seed weed reed feed steed breed moped biped quadruped thoroughbred hundred kindred speed deed need
    flatbed seabed riverbed bobsled couscous handful mouthful spoonful""".split()
)
ING_NOUNS = frozenset(
    """building ceiling ring king painting string wing swing clothing wedding earring thing duckling railing awning drawing
    sibling pudding dumpling stocking icing frosting lightning herring viking being sing evening morning earring keyring crossing
    landing opening marking engraving carving etching filling topping seasoning covering lining molding piercing recording
    sterling swing bring sling sting ping offspring darling sapling seedling fledgling underling stuffing pricing mooring
    meeting warning clipping greeting housing blessing beginning ending wrapping parking dining washing vending shopping living
    frying sewing swimming cutting rocking sleeping fishing boxing running bowling drinking filing ironing diving hunting
    walking riding racing sailing baking mixing measuring serving steering folding rolling""".split()
)  # of phrases: "washing machine", "walking stick"; alone they are what one does
GERUNDS = frozenset(
    """parking dining washing vending shopping living frying sewing swimming cutting rocking sleeping fishing boxing running
    bowling drinking filing ironing diving hunting walking riding racing sailing baking mixing measuring serving steering folding
    rolling""".split()
)  # of `ING_NOUNS`, those that alone are activities
HEADS_AFTER_ING = frozenset(
    """machine meter table room pool bag board pan stick shoe shoes chair horse boat rod glove gloves ring card cards cabinet cup
    bowl wheel pin dog suit trunks net gear alley fountain water lot space truck car cart mall center area license board""".split()
)
DETERMINERS = frozenset(
    """a an the some any his her their its my your our this that these those several many few most much more less two three four
    five six seven eight nine ten eleven twelve twenty thirty hundred dozens each every another one""".split()
)
PREPOSITIONS = frozenset(
    """in on at under underneath behind above below beside besides next near to from with without by of for between among inside
    outside into onto over across around through along against toward towards up down off during before after about like than as
    past beyond within throughout upon beneath""".split()
)
SUBORDINATORS = frozenset(
    """because since if when while although though so that which who whom whose where why how what whether unless until due
    and or but not nor""".split()
)
FINITE_VERBS = frozenset(
    """is are was were am isn't aren't wasn't weren't has have had hasn't haven't does doesn't did didn't do don't can cannot
    can't could will won't would should may might must""".split()
)
VERBS = frozenset(
    """eat sit buy get go make take give keep see read write sleep put hold wear carry throw catch hit play find help wait
    bring talk tell listen think know learn teach send sell pay cook bake drive fly swim climb jump kick push pull""".split()
)
FIXED = frozenset(
    """none nothing both neither either unknown unsure maybe perhaps other others nobody everyone everybody someone everything
    left right top bottom middle center front back here there upstairs downstairs outside inside outdoors indoors nowhere
    everywhere north south east west northeast northwest southeast southwest today tomorrow yesterday now never always
    sometimes often once twice first second third fourth fifth last he she it they him her them me you we us all same
    monday tuesday wednesday thursday friday saturday sunday ok okay sure same""".split()
)
FIXED_STARTS = ("none of", "all of", "both of", "not ", "no ", "cannot", "can't", "unable to", "too ", "n/a", "no one")
NOT_ADVERBS = tuple("fly family assembly jelly belly lily bully ally anomaly monopoly holly trolly gully".split())
MONTHS = "january february march april may june july august september october november december".split()
NUMBER_WORDS = frozenset(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen""".split()
)
UNITS = frozenset(
    """% percent cm mm m km in inch inches ft foot feet yd yard yards mile miles meter meters metre metres centimeter centimeters
    kilometer kilometers kg g mg lb lbs oz gram grams kilogram kilograms pound pounds ounce ounces ton tons tonnes l ml liter
    liters litre litres gallon gallons cup cups mph kph km/h m/s °c °f ° degrees celsius fahrenheit hz khz mhz ghz kb mb gb tb w
    kw v volts watts amps s sec seconds second min minutes minute h hr hrs hours hour days day weeks week months month years year
    cent cents dollar dollars euro euros yen bucks usd eur newtons n joules j""".split()
)
PLACES = frozenset(
    """afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan bahrain bangladesh barbados belarus
    belgium belize benin bhutan bolivia bosnia botswana brazil brunei bulgaria burundi cambodia cameroon canada chad chile china
    colombia congo croatia cuba cyprus czechia denmark djibouti dominica ecuador egypt eritrea estonia ethiopia fiji finland
    france gabon georgia germany ghana greece greenland grenada guatemala guinea guyana haiti honduras hungary iceland india
    indonesia iran iraq ireland israel italy jamaica japan jordan kazakhstan kenya kosovo kuwait kyrgyzstan laos latvia lebanon
    lesotho liberia libya liechtenstein lithuania luxembourg madagascar malawi malaysia mali malta mauritania mauritius mexico
    moldova monaco mongolia montenegro morocco mozambique myanmar namibia nepal nicaragua niger nigeria norway oman pakistan
    palau panama paraguay peru poland portugal qatar romania russia rwanda samoa senegal serbia seychelles singapore slovakia
    slovenia somalia spain sudan suriname sweden switzerland syria taiwan tajikistan tanzania thailand togo tonga tunisia turkey
    turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu venezuela vietnam yemen zambia zimbabwe england scotland wales
    africa antarctica asia europe america alabama alaska arizona arkansas california colorado connecticut delaware florida hawaii
    idaho illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri
    montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah vermont virginia washington wisconsin wyoming
    amsterdam athens atlanta baltimore bangkok barcelona beijing berlin boston brussels budapest cairo chicago copenhagen dallas
    delhi denver detroit dubai dublin edinburgh florence geneva glasgow helsinki houston istanbul jakarta jerusalem kyoto lisbon
    liverpool london lyon madrid manchester manila melbourne miami milan montreal moscow mumbai munich nairobi naples orlando
    osaka oslo paris philadelphia phoenix pittsburgh prague rome seattle seoul shanghai stockholm sydney tokyo toronto vancouver
    venice vienna warsaw zurich mars venus saturn jupiter uranus neptune pluto""".split()
)
PLACES_OF_WORDS = frozenset(
    """new york|new zealand|new jersey|new mexico|new hampshire|new orleans|new delhi|north america|south america|north korea|
    south korea|south africa|saudi arabia|sri lanka|costa rica|puerto rico|el salvador|sierra leone|ivory coast|hong kong|
    los angeles|san francisco|san diego|las vegas|cape town|north carolina|south carolina|north dakota|south dakota|west virginia|
    rhode island|new york city|rio de janeiro|buenos aires|papua new guinea|kuala lumpur|tel aviv|salt lake city|burkina faso|
    east timor|great britain|northern ireland""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
PLACES_WITH_THE = frozenset(
    """united states|united kingdom|united states of america|netherlands|philippines|bahamas|maldives|czech republic|
    dominican republic|united arab emirates|solomon islands|marshall islands|usa|uk|caribbean|middle east|alps|himalayas|
    eiffel tower|great wall of china|white house|pacific ocean|atlantic ocean|indian ocean|arctic ocean|
    mediterranean sea""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
NAMED_LIKE_THINGS = frozenset(
    "turkey china chad guinea georgia jordan phoenix florence mali".split()
)  # in small letters
BRANDS = frozenset("nike|adidas|coca cola|coca-cola|pepsi|mickey mouse|santa claus|disney|toyota|microsoft".split("|"))
CONTRACTIONS = frozenset("it's he's she's that's there's they're we're you're i'm i've it'll".split())
FIRST_NAMES = frozenset(
    """abraham adam alan albert alfred amelia alexander alice amy andrew andy angela anna anne anthony arthur barack barbara benjamin bernard bill bob brad
    brian bruce carl carlos caroline catherine charles charlie charlotte christopher claude daniel david diana donald dorothy
    edward elizabeth ellen elon elvis emily emma eric ernest eva frank franklin frederick galileo george gerald grace greta hannah
    harold harry helen henry hillary isaac isabella jack jacob james jane jason jean jeff jennifer jessica jim joan joe john
    johann johnny jonathan jose joseph joseph juan julia julius karen karl kate kevin kim lady larry laura leonardo lewis linda
    lionel louis louise lucy ludwig luis marco margaret maria marie marilyn mark martha martin mary matthew max maya michael
    michelle miguel mike mohamed muhammad nancy napoleon neil nelson nicholas nicole nikola oliver oprah oscar pablo patricia
    paul peter philip rachel ralph ray rebecca richard robert roger ronald rosa roy ruth sally sam samuel sandra sarah scott serena
    simon sophia stephen steve steven susan taylor theodore thomas tiger tim tom tony usain vincent virginia walt walter william
    winston wolfgang yoko""".split()
)
TITLES = frozenset(
    "mr mrs ms dr mount mt lake saint st sir king queen president prince princess pope captain professor lord".split()
)
FOREIGN = frozenset(  # words that other languages' short phrases begin with or hold, and English ones do not
    """der das ein eine einen einem einer und ist nicht el la los las un una unos unas y es le les une des du et est il lo gli e
    het een en ett och di da do dos uma um os""".split()
)
LOANWORDS = frozenset(
    "café jalapeño piñata façade fiancé fiancée résumé crêpe entrée soufflé purée sautéed née".split()
)
